"""Opening, renewing and ending the sessions of clients that do not use OAuth."""

from __future__ import annotations

import time
from dataclasses import dataclass

from database.connection import Database
from database.retry import write
from database.timestamps import Clock
from pds.accounts.access_cutoffs import AccessCutoffs
from pds.accounts.account_store import AccountStore
from pds.accounts.app_passwords import AppPassword, AppPasswords
from pds.accounts.codes import new_refresh_jti
from pds.accounts.errors import AccountTakendown, ExpiredToken, InvalidCredentials
from pds.accounts.logins import Login
from pds.accounts.refresh_tokens import NewestToken, RefreshTokens
from pds.accounts.scopes import SessionScope, scope_of_app_password
from pds.accounts.session_tokens import RefreshToken, SessionTokens
from repo.syntax import Did


@dataclass(frozen=True, slots=True)
class Session:
    """The two tokens of a session."""

    did: Did
    access_jwt: str
    refresh_jwt: str


class Sessions:
    """Opens, renews and ends sessions."""

    def __init__(
        self,
        db: Database,
        store: AccountStore,
        *,
        tokens: SessionTokens,
        refresh_tokens: RefreshTokens,
        app_passwords: AppPasswords,
        cutoffs: AccessCutoffs,
        clock: Clock = time.time,
    ) -> None:
        self._db = db
        self._store = store
        self._tokens = tokens
        self._refresh_tokens = refresh_tokens
        self._app_passwords = app_passwords
        self._cutoffs = cutoffs
        self._clock = clock

    async def create(self, login: Login) -> Session:
        """Open a session. That of a taken-down account cannot be renewed.

        Raises `InvalidCredentials` or `AccountTakendown` if the account has changed since the login
        was checked.
        """
        refresh = self._tokens.create_refresh(login.account.did, new_refresh_jti())
        app_password = login.app_password
        name = None if app_password is None else app_password.name

        def add() -> SessionScope:
            self.check_still_right(login)
            if login.account.takedown_ref is not None:
                return SessionScope.TAKENDOWN
            self._refresh_tokens.add(refresh, app_password_name=name)
            return _scope(name, app_password)

        return self._session(refresh, await write(self._db, add))

    async def renew(self, jti: str) -> Session:
        """Renew a session by the id of a refresh token.

        Repeated uses of a token, at once or within two hours, return refresh tokens with the same
        `jti`.
        Raises `ExpiredToken` if the token is unknown or has been revoked.
        """
        session = await write(self._db, lambda: self._renew(jti))
        if session is None:
            raise ExpiredToken("Token has been revoked")
        return session

    async def end(self, did: Did, jti: str) -> None:
        """End a session by any refresh token that it has had. Ending it twice is harmless.

        Access tokens stay valid until they expire.
        """
        await write(self._db, lambda: self._refresh_tokens.revoke(did, jti))

    async def end_first(self, session: Session) -> None:
        """End the session with which an account began, before it has another one."""
        await write(self._db, lambda: self._refresh_tokens.revoke_all(session.did))

    def list_of(self, did: Did, *, limit: int) -> list[NewestToken]:
        """Return the sessions of an account, each by its newest token, the last used ones first."""
        return self._refresh_tokens.newest(did, now_s=self._clock(), limit=limit)

    def end_all(self, did: Did) -> None:
        """End every session of an account, OAuth and browsers included, inside a transaction.

        Revoking access tokens before they expire takes a cutoff as well.
        """
        self._refresh_tokens.revoke_all(did)
        self._end_oauth(did)

    def end_apps(self, did: Did) -> None:
        """End the sessions of OAuth clients and of app passwords, inside a transaction.

        App passwords are deleted, and it is forgotten what the account has allowed to clients.
        """
        self._app_passwords.remove_all(did)
        self._refresh_tokens.revoke_of_app_passwords(did)
        self._end_oauth(did)
        self._db.run("DELETE FROM authorized_client WHERE did = ?", (did,))

    def _end_oauth(self, did: Did) -> None:
        self._db.run("DELETE FROM token WHERE did = ?", (did,))
        # A browser that stays signed in could begin new ones, and so could a code on its way.
        self._db.run("DELETE FROM account_device WHERE did = ?", (did,))
        self._db.run("DELETE FROM authorization_request WHERE did = ?", (did,))

    def add_first(self, did: Did) -> RefreshToken:
        """Store the first session of a new account, inside its transaction: see `first`."""
        refresh = self._tokens.create_refresh(did, new_refresh_jti())
        self._refresh_tokens.add(refresh, app_password_name=None)
        return refresh

    def first(self, refresh: RefreshToken) -> Session:
        """Return the session that `add_first` has stored."""
        return self._session(refresh, SessionScope.ACCESS)

    def check_still_right(self, login: Login) -> None:
        """Raise `AccountError` if the account has changed while the login was being checked.

        Call it inside the transaction that lets the person in.
        """
        did, app_password = login.account.did, login.app_password
        if self._cutoffs.find(did) > login.valid_from:
            raise InvalidCredentials
        if app_password is not None and self._app_passwords.find(did, app_password.name) is None:
            raise InvalidCredentials
        account = self._store.find(did, include_takendown=True, include_deactivated=True)
        if account is None:
            raise InvalidCredentials
        if account.takedown_ref is not None and login.account.takedown_ref is None:
            raise AccountTakendown

    def _renew(self, jti: str) -> Session | None:
        renewal = self._refresh_tokens.renew(jti, now_s=self._clock())
        if renewal is None:
            return None
        did, name = renewal.did, renewal.app_password_name
        app_password = None if name is None else self._app_passwords.find(did, name)
        refresh = self._tokens.create_refresh(did, renewal.next_jti)
        self._refresh_tokens.add(refresh, app_password_name=name)
        return self._session(refresh, _scope(name, app_password))

    def _session(self, refresh: RefreshToken, scope: SessionScope) -> Session:
        access_jwt = self._tokens.create_access(refresh.did, scope)
        return Session(refresh.did, access_jwt, refresh.jwt)


def _scope(app_password_name: str | None, app_password: AppPassword | None) -> SessionScope:
    """Return the scope of a session, the least one if its app password was deleted."""
    if app_password_name is None:
        return SessionScope.ACCESS
    return scope_of_app_password(privileged=bool(app_password and app_password.privileged))
