"""Logging in, sessions and app passwords: the account manager's part for clients."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from database.retry import write
from pds.accounts.account import ActorAccount
from pds.accounts.app_passwords import AppPassword
from pds.accounts.codes import new_app_password, new_refresh_jti
from pds.accounts.errors import (
    AccountTakendown,
    ExpiredToken,
    InvalidCredentials,
    PasswordTooLong,
)
from pds.accounts.passwords import MAX_CHECKED_LENGTH, OPERATOR, Asker
from pds.accounts.scopes import SessionScope, scope_of_app_password
from pds.accounts.session_tokens import RefreshToken
from pds.accounts.stores import AccountStores
from repo.syntax import Did


@dataclass(frozen=True, slots=True)
class Login:
    """An account whose password was right, and the app password if it was one."""

    account: ActorAccount
    app_password: AppPassword | None
    valid_from: int
    """Where the account's access tokens counted from when its password was about to be checked."""


@dataclass(frozen=True, slots=True)
class Session:
    """The two tokens of a session."""

    did: Did
    access_jwt: str
    refresh_jwt: str


class SessionOperations(AccountStores):
    """Sessions of clients other than OAuth's."""

    async def login(
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
            login = await self._check_login(identifier.lower(), password, asker)
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
                if not await hashing.verify(password, self.store.password_hash(did)):
                    raise InvalidCredentials("Invalid did or password")
        finally:
            await self._wait_since(started)

    async def create_session(self, login: Login) -> Session:
        """Open a session. On an account that is taken down it cannot be renewed.

        Raises `InvalidCredentials` or `AccountTakendown` if that has changed since the login.
        """
        did = login.account.did
        refresh = self.session_tokens.create_refresh(did, new_refresh_jti())
        app_password = login.app_password
        name = None if app_password is None else app_password.name

        def add() -> SessionScope:
            self._check_still_right(login)
            if login.account.takedown_ref is not None:
                return SessionScope.TAKENDOWN
            self.refresh_tokens.add(refresh, app_password_name=name)
            return _scope(name, app_password)

        return self._session(refresh, await write(self.db, add))

    async def rotate_refresh_token(self, jti: str) -> Session:
        """Renew a session. Raises `ExpiredToken` if its token is unknown or has been revoked.

        Several uses of one token, at once or within two hours, get refresh tokens of one `jti`.
        """
        session = await write(self.db, lambda: self._rotate(jti))
        if session is None:
            raise ExpiredToken("Token has been revoked")
        return session

    async def revoke_refresh_token(self, did: Did, jti: str) -> None:
        """End a session, by any refresh token that it has had. Ending it twice is harmless.

        Access tokens work on until they expire.
        """
        await write(self.db, lambda: self.refresh_tokens.revoke(did, jti))

    async def create_app_password(
        self, did: Did, name: str, *, privileged: bool = False, asker: Asker = OPERATOR
    ) -> tuple[AppPassword, str]:
        """A new app password and its text.

        Raises `AppPasswordExists`, `TooBusy`, and `ExpiredToken` if sessions have ended meanwhile.
        """
        valid_from = self.access_cutoffs.find(did)

        def add() -> None:
            if self.access_cutoffs.find(did) > valid_from:
                raise ExpiredToken("Token has been revoked")
            self.app_passwords.add(did, created, password_hash=stored)

        text = new_app_password()
        async with self._hasher.turn(asker, about=did) as hashing:
            stored = await hashing.hash_app_password(did, text)
        created = AppPassword(name, self._now_iso(), privileged)
        await write(self.db, add)
        return created, text

    def list_app_passwords(self, did: Did) -> list[AppPassword]:
        """The account's app passwords, newest first."""
        return self.app_passwords.list(did)

    async def revoke_app_password(self, did: Did, name: str) -> None:
        """Delete an app password and end its sessions. An unknown name is fine."""

        def revoke() -> None:
            self.app_passwords.delete(did, name)
            self.refresh_tokens.revoke_of_app_password(did, name)

        await write(self.db, revoke)

    def _check_still_right(self, login: Login) -> None:
        """Raise `AccountError` if a login is not right any more: checking it has taken its time."""
        did, app_password = login.account.did, login.app_password
        if self.access_cutoffs.find(did) > login.valid_from:
            raise InvalidCredentials
        if app_password is not None and self.app_passwords.find(did, app_password.name) is None:
            raise InvalidCredentials
        account = self.store.find(did, include_takendown=True, include_deactivated=True)
        if account is None:
            raise InvalidCredentials
        if account.takedown_ref is not None and login.account.takedown_ref is None:
            raise AccountTakendown

    def _rotate(self, jti: str) -> Session | None:
        renewal = self.refresh_tokens.renew(jti, now_s=self._clock())
        if renewal is None:
            return None
        did, name = renewal.did, renewal.app_password_name
        app_password = None if name is None else self.app_passwords.find(did, name)
        refresh = self.session_tokens.create_refresh(did, renewal.next_jti)
        self.refresh_tokens.add(refresh, app_password_name=name)
        return self._session(refresh, _scope(name, app_password))

    def _session(self, refresh: RefreshToken, scope: SessionScope) -> Session:
        access_jwt = self.session_tokens.create_access(refresh.did, scope)
        return Session(refresh.did, access_jwt, refresh.jwt)

    async def _check_login(self, identifier: str, password: str, asker: Asker) -> Login:
        if len(password) > MAX_CHECKED_LENGTH:
            raise PasswordTooLong
        # About the name as it was given: two names of one account look like any other two.
        async with self._hasher.turn(asker, about=identifier) as hashing:
            account = self._find_login(identifier)
            did = None if account is None else account.did
            valid_from = 0 if did is None else self.access_cutoffs.find(did)
            stored = None if did is None else self.store.password_hash(did)
            if await hashing.verify(password, stored) and account is not None:
                return Login(account, None, valid_from)
            # Every wrong login costs two hashes: that there is no account, or that it has no app
            # passwords, must not be told by how long it takes.
            stored = await hashing.hash_app_password(did, password)
        if account is not None and account.takedown_ref is None:
            app_password = self.app_passwords.find_by_hash(account.did, stored)
            if app_password is not None:
                return Login(account, app_password, valid_from)
        raise InvalidCredentials

    def _find_login(self, identifier: str) -> ActorAccount | None:
        if "@" in identifier:
            return self.store.find_by_email(
                identifier, include_takendown=True, include_deactivated=True
            )
        find = self.store.find if identifier.startswith("did:") else self.store.find_by_handle
        return find(identifier, include_takendown=True, include_deactivated=True)

    async def _wait_since(self, started: float) -> None:
        await asyncio.sleep(max(0.0, started + self._min_login_s - time.monotonic()))


def _scope(app_password_name: str | None, app_password: AppPassword | None) -> SessionScope:
    """What a session may do; one whose app password is gone may do the least."""
    if app_password_name is None:
        return SessionScope.ACCESS
    return scope_of_app_password(privileged=bool(app_password and app_password.privileged))
