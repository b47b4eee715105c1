"""Creating, using and disabling invite codes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from database.connection import Database
from database.retry import write
from database.timestamps import Clock, epoch_ms_of, iso_of
from pds.accounts.account_store import AccountStore
from pds.accounts.codes import new_invite_code
from pds.accounts.errors import AccountNotFound, AdminInvitesNotDisabled
from pds.accounts.invite_allowance import earned_codes_due
from pds.accounts.invite_codes import ADMIN, COLUMNS, InviteCode, InviteReader
from repo.syntax import Did


class Invites(InviteReader):
    """The invite codes of accounts and of the admin."""

    def __init__(
        self, db: Database, store: AccountStore, *, hostname: str, clock: Clock = time.time
    ) -> None:
        """Make codes that begin with `hostname`."""
        super().__init__(db)
        self._store = store
        self._hostname = hostname
        self._clock = clock

    async def create(
        self, accounts: Sequence[str], *, count: int, uses: int
    ) -> dict[str, list[str]]:
        """Create `count` codes for each of `accounts` (DIDs or `admin`), each for `uses` uses."""
        codes = {account: self._new_codes(count) for account in accounts}

        def create() -> None:
            for account, its_codes in codes.items():
                self._add(its_codes, available=uses, for_account=account, created_by=ADMIN)

        await write(self._db, create)
        return codes

    async def create_earned(self, did: Did, *, interval_ms: int, epoch_ms: int) -> None:
        """Create the codes that the account has earned by now: see `earned_codes_due`.

        They start disabled if the account's invites are disabled. Raises `AccountNotFound`.
        """

        def create() -> None:
            account = self._store.find(did)
            if account is None:
                raise AccountNotFound
            due = earned_codes_due(
                self.of_account(did),
                member_since_ms=epoch_ms_of(account.created_at),
                now_ms=int(self._clock() * 1000),
                interval_ms=interval_ms,
                epoch_ms=epoch_ms,
            )
            self._add(
                self._new_codes(due),
                available=1,
                for_account=did,
                created_by=did,
                disabled=account.invites_disabled,
            )

        await write(self._db, create)

    def list_enabled(self, did: Did, *, include_used: bool) -> list[InviteCode]:
        """Return the account's enabled codes, oldest first."""
        codes = self.of_account(did)
        return [code for code in codes if not code.disabled and (include_used or not code.used_up)]

    def use(self, code: str, did: Did) -> None:
        """Record that an account is created with the code, inside the transaction that does so.

        Raises `InvalidInviteCode`.
        """
        self.ensure_available(code)
        self._db.run(
            "INSERT INTO invite_code_use (code, usedBy, usedAt) VALUES (?, ?, ?)",
            (code, did, iso_of(self._clock())),
        )

    async def disable(self, codes: Sequence[str], accounts: Sequence[str]) -> None:
        """Disable single codes, and all codes of some accounts.

        Raises `AdminInvitesNotDisabled` for the account `admin`.
        """
        if ADMIN in accounts:
            raise AdminInvitesNotDisabled

        def disable() -> None:
            self._db.many(
                "UPDATE invite_code SET disabled = 1 WHERE code = ?", [(code,) for code in codes]
            )
            self._db.many(
                "UPDATE invite_code SET disabled = 1 WHERE forAccount = ?",
                [(account,) for account in accounts],
            )

        await write(self._db, disable)

    async def set_disabled(self, did: Did, *, disabled: bool) -> None:
        """Set whether codes that the account earns start disabled.

        Raises `AccountNotFound`, or `NoLogin` for an account that cannot earn any.
        """

        def update() -> None:
            self._store.get_with_login(did)
            self._store.set_invites_disabled(did, disabled=disabled)

        await write(self._db, update)

    def _new_codes(self, count: int) -> list[str]:
        return [new_invite_code(self._hostname) for _ in range(count)]

    def _add(
        self,
        codes: Iterable[str],
        *,
        available: int,
        for_account: str,
        created_by: str,
        disabled: bool = False,
    ) -> None:
        """Insert codes with `available` uses each, inside a transaction."""
        at = iso_of(self._clock())
        self._db.many(
            f"INSERT INTO invite_code ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",
            [(code, available, disabled, for_account, created_by, at) for code in codes],
        )
