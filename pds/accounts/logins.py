"""Logging in: checking a password or an app password without leaking information by timing."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from pds.accounts.access_cutoffs import AccessCutoffs
from pds.accounts.account import ActorAccount
from pds.accounts.account_store import AccountStore
from pds.accounts.app_passwords import AppPassword, AppPasswords
from pds.accounts.errors import AccountTakendown, InvalidCredentials, PasswordTooLong
from pds.accounts.hashing import OPERATOR, Asker, PasswordHasher
from repo.syntax import Did

MAX_CHECKED_LENGTH: Final = 512
"""The longest password that is checked, in characters: the reference PDS once allowed passwords
longer than `MAX_NEW_LENGTH`."""
MIN_LOGIN_MS: Final = 350


@dataclass(frozen=True, slots=True)
class Login:
    """A successful login: the account, and the app password if one was used."""

    account: ActorAccount
    app_password: AppPassword | None
    valid_from: int
    """The account's access token cutoff just before its password was checked."""


class Logins:
    """Checks passwords. `Sessions` opens a session from the resulting `Login`."""

    def __init__(
        self,
        store: AccountStore,
        app_passwords: AppPasswords,
        cutoffs: AccessCutoffs,
        hasher: PasswordHasher,
        *,
        min_login_ms: int = MIN_LOGIN_MS,
    ) -> None:
        """Make each password check take at least `min_login_ms`.

        This keeps response times from revealing whether an account exists.
        """
        self._store = store
        self._app_passwords = app_passwords
        self._cutoffs = cutoffs
        self._hasher = hasher
        self._min_login_s = min_login_ms / 1000

    async def check(
        self,
        identifier: str,
        password: str,
        *,
        allow_takendown: bool = False,
        asker: Asker = OPERATOR,
    ) -> Login:
        """Check a handle, DID or email address and its password or app password.

        App passwords do not open an account that is taken down. Takes at least `min_login_ms`.
        Raises `InvalidCredentials`, `PasswordTooLong`, `AccountTakendown` or `TooBusy`.
        """
        started = time.monotonic()
        try:
            login = await self._check(identifier.lower(), password, asker)
        finally:
            await self._wait_since(started)
        if login.account.takedown_ref is not None and not allow_takendown:
            raise AccountTakendown
        return login

    async def check_password(self, did: Did, password: str, *, asker: Asker = OPERATOR) -> None:
        """Check the account's own password. Takes at least `min_login_ms`.

        Raises `InvalidCredentials`, `PasswordTooLong` or `TooBusy`.
        """
        started = time.monotonic()
        try:
            if len(password) > MAX_CHECKED_LENGTH:
                raise PasswordTooLong
            async with self._hasher.turn(asker, about=did) as hashing:
                if not await hashing.verify(password, self._store.password_hash(did)):
                    raise InvalidCredentials("Invalid did or password")
        finally:
            await self._wait_since(started)

    async def _check(self, identifier: str, password: str, asker: Asker) -> Login:
        if len(password) > MAX_CHECKED_LENGTH:
            raise PasswordTooLong
        # Turns are counted by the given name: two names of an account must look unrelated.
        async with self._hasher.turn(asker, about=identifier) as hashing:
            account = self._find(identifier)
            did = None if account is None else account.did
            valid_from = 0 if did is None else self._cutoffs.find(did)
            stored = None if did is None else self._store.password_hash(did)
            if await hashing.verify(password, stored) and account is not None:
                return Login(account, None, valid_from)
            # Every wrong login costs two hashes, so that its duration does not reveal that the
            # account does not exist or has no app passwords.
            stored = await hashing.hash_app_password(did, password)
        if account is not None and account.takedown_ref is None:
            app_password = self._app_passwords.find_by_hash(account.did, stored)
            if app_password is not None:
                return Login(account, app_password, valid_from)
        raise InvalidCredentials

    def _find(self, identifier: str) -> ActorAccount | None:
        find = (
            self._store.find_by_email
            if "@" in identifier
            else self._store.find
            if identifier.startswith("did:")
            else self._store.find_by_handle
        )
        return find(identifier, include_takendown=True, include_deactivated=True)

    async def _wait_since(self, started: float) -> None:
        await asyncio.sleep(max(0.0, started + self._min_login_s - time.monotonic()))
