"""`SecondFactors`: what an account takes besides its password, wired from its parts."""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable
from dataclasses import dataclass

from database.connection import Database
from database.retry import write
from database.timestamps import Clock
from pds.accounts.account import ActorAccount
from pds.accounts.account_store import AccountStore
from pds.second_factors.authenticator_apps import AuthenticatorApps
from pds.second_factors.challenges import Challenges
from pds.second_factors.errors import AddressNotConfirmed, WrongCode
from pds.second_factors.guesses import Guesses
from pds.second_factors.kept_addresses import KeptAddresses
from pds.second_factors.mailed_codes import MailedCodes
from pds.second_factors.passkeys import Passkey, Passkeys, RelyingParty
from pds.second_factors.recovery_codes import RecoveryCodes
from pds.second_factors.schema import create_tables
from pds.second_factors.sealing import Sealer
from pds.second_factors.totp import is_short
from pds.second_factors.trusted_browsers import TrustedBrowsers
from pds.second_factors.waiting import WaitingSignIns
from repo.syntax import Did


@dataclass(frozen=True, slots=True)
class Factors:
    """The factors of an account. Times are ISO 8601; None means that there is no such factor."""

    app_since: str | None
    mail_since: str | None
    passkeys: tuple[Passkey, ...]
    recovery_codes: int

    @property
    def any(self) -> bool:
        """Whether there is one at all. Recovery codes only stand in for others."""
        return bool(self.app_since or self.mail_since or self.passkeys)


class SecondFactors:
    """The second factors of the accounts of one server."""

    def __init__(
        self,
        db: Database,
        *,
        secret: bytes,
        party: RelyingParty,
        required: bool = False,
        clock: Clock = time.time,
    ) -> None:
        """Create the tables in the service database. `secret` has 32 bytes.

        If factors are `required`, accounts that have none get codes by mail.
        """
        create_tables(db)
        self._db = db
        self._secret = secret
        self._store = AccountStore(db)
        self.required = required
        self.apps = AuthenticatorApps(db, Sealer(self._derived("seal")), clock=clock)
        self.mailed = MailedCodes(db, clock=clock)
        self.addresses = KeptAddresses(db)
        challenges = Challenges(db, self._derived("challenges"), clock=clock)
        self.passkeys = Passkeys(db, party, challenges, clock=clock)
        self.trusted = TrustedBrowsers(db, clock=clock)
        self.waiting = WaitingSignIns(self._derived("waiting"), clock=clock)
        self.new_accounts = WaitingSignIns(self._derived("new accounts"), clock=clock)
        self._recovery = RecoveryCodes(db)
        self._guesses = Guesses(db, clock=clock)

    def of(self, did: Did) -> Factors:
        """Return the factors of an account."""
        return Factors(
            self.apps.since(did),
            self.mailed.since(did),
            tuple(self.passkeys.of(did)),
            self._recovery.left(did),
        )

    def needed(self, did: Did) -> bool:
        """Whether a password does not suffice to sign in."""
        return self.required or self.of(did).any

    def mails(self, did: Did) -> bool:
        """Whether codes are mailed to an account: as it wishes, or for want of other factors."""
        return self.mailed.since(did) is not None or (self.required and not self.of(did).any)

    async def check_code(self, did: Did, code: str, *, place: str) -> None:
        """Use a code up, of whichever kind. `place` is where it comes from, such as a network.

        Raises `WrongCode`, or `TooManyWrongCodes`, which depends on wrong codes only, not on the
        factors of the account.
        """
        code = code.strip().replace(" ", "")

        def check() -> bool:
            if is_short(code):
                self._guesses.check(did, place)
                taken = self.apps.take(did, code)
                if not taken:
                    self._guesses.note_wrong(did, place)
                return taken
            return self._take_long(did, code)

        # A wrong code is counted only if the transaction is committed, so it is no exception there.
        if not await write(self._db, check):
            raise WrongCode

    async def check_passkey(self, did: Did, device_id: str, answer: str) -> None:
        """Check the answer of a passkey after the password. Raises `PasskeyRefused`."""
        await write(self._db, lambda: self.passkeys.check(device_id, answer, did))

    async def sign_in_with_passkey(self, device_id: str, answer: str) -> Did:
        """Return the account whose passkey has verified its owner. Raises `PasskeyRefused`."""
        return await write(self._db, lambda: self.passkeys.check(device_id, answer, None))

    def passkey_options(self, account: ActorAccount, device_id: str) -> str:
        """Return what a page hands to its browser, so that this makes a passkey, as JSON."""
        return self.passkeys.options_to_set_up(
            account.did,
            device_id,
            user_name=account.handle or account.did,
            # A name that says nothing about the account.
            user_id=hmac.digest(self._derived("passkey users"), account.did.encode(), "sha256"),
        )

    async def set_up_app(self, did: Did, secret: str, code: str) -> tuple[str, ...]:
        """Set up an authenticator app. Returns recovery codes, unless the account has some.

        Raises `WrongCode` or `AppExists`.
        """
        return await self._add(did, lambda: self.apps.set_up(did, secret, code))

    async def add_passkey(
        self, did: Did, device_id: str, answer: str, *, name: str
    ) -> tuple[str, ...]:
        """Set up a passkey. Returns recovery codes, unless the account has some.

        Raises `PasskeyRefused` or `TooManyPasskeys`.
        """
        return await self._add(did, lambda: self.passkeys.add(did, device_id, answer, name=name))

    async def turn_on_mail(self, did: Did) -> None:
        """Turn codes by mail on. Raises `AddressNotConfirmed`."""

        def turn_on() -> None:
            if self._store.get(did).email_confirmed_at is None:
                raise AddressNotConfirmed
            self.mailed.turn_on(did)

        await write(self._db, turn_on)

    def keep_address(self, account: ActorAccount, *, instead_of: str) -> None:
        """Go on to mail codes to the present address of an account that is about to change it.

        Call it inside a transaction.
        """
        if self.mails(account.did):
            self.addresses.keep(account, instead_of=instead_of)

    async def forget_kept_address(self, did: Did) -> None:
        """Mail codes to the address of an account, which is confirmed now. May be repeated."""
        await write(self._db, lambda: self.addresses.remove(did))

    async def turn_off_mail(self, did: Did) -> None:
        """Turn codes by mail off. May be repeated."""
        await self._remove(did, lambda: self.mailed.turn_off(did))

    async def remove_app(self, did: Did) -> None:
        """Forget the authenticator app. May be repeated."""
        await self._remove(did, lambda: self.apps.remove(did))

    async def remove_passkey(self, did: Did, passkey_id: bytes) -> None:
        """Forget a passkey. May be repeated."""
        await self._remove(did, lambda: self.passkeys.remove(did, passkey_id))

    async def renew_recovery_codes(self, did: Did) -> tuple[str, ...]:
        """Return ten new recovery codes; those before are void."""
        return await write(self._db, lambda: self._recovery.renew(did))

    async def reset(self, did: Did) -> None:
        """Remove every factor, for somebody who has lost them. May be repeated."""

        def reset() -> None:
            self.apps.remove(did)
            self.mailed.turn_off(did)
            self.passkeys.remove_all(did)

        await self._remove(did, reset)

    def _take_long(self, did: Did, code: str) -> bool:
        if self._recovery.take(did, code):
            return True
        if not self.mails(did) or not self.mailed.take(did, code):
            return False
        # Who has none, and had to read the mail, has set up this factor by that.
        self.mailed.turn_on(did)
        return True

    async def _add(self, did: Did, add: Callable[[], None]) -> tuple[str, ...]:
        def add_with_codes() -> tuple[str, ...]:
            add()
            return () if self._recovery.left(did) else self._recovery.renew(did)

        return await write(self._db, add_with_codes)

    async def _remove(self, did: Did, remove: Callable[[], None]) -> None:
        def remove_with_rest() -> None:
            remove()
            # A browser is trusted for what was shown there, which may be just what is removed.
            self.trusted.forget_all(did)
            if not self.of(did).any:
                self._recovery.remove(did)

        await write(self._db, remove_with_rest)

    def _derived(self, purpose: str) -> bytes:
        return hmac.digest(self._secret, f"second factors: {purpose}".encode(), "sha256")
