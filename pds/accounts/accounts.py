"""`Accounts`: the accounts of this server, composed of parts that each manage one aspect.

Each `async` method is one transaction, which backs off without blocking the event loop while
another process holds the file. The other methods are short statements: they read, or their
docstring says that they must be called inside a transaction.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from database.connection import Database
from database.retry import write
from database.timestamps import Clock, iso_of
from pds.accounts.access_cutoffs import AccessCutoffs
from pds.accounts.account_states import AccountStates
from pds.accounts.app_passwords import AppPasswords
from pds.accounts.availability import (
    check_did_free,
    check_email_free,
    check_handle_free,
    check_handle_free_for,
)
from pds.accounts.email_tokens import EmailTokens
from pds.accounts.emails import Emails
from pds.accounts.hashing import PasswordHasher
from pds.accounts.invites import Invites
from pds.accounts.logins import MIN_LOGIN_MS, Logins
from pds.accounts.moves import Moves
from pds.accounts.passwords import Passwords
from pds.accounts.refresh_tokens import RefreshTokens
from pds.accounts.register import AccountRegister
from pds.accounts.session_tokens import RefreshToken, SessionTokens
from pds.accounts.sessions import Session, Sessions
from repo.cid import Cid
from repo.syntax import Did

MIGRATION_GRACE_S: Final = 3 * 24 * 60 * 60
"""How long an account that migrates here is expected to stay deactivated."""


@dataclass(frozen=True, slots=True)
class NewAccount:
    """The data of an account to be created. It has no login without email address and password."""

    did: Did
    handle: str
    """In lower case."""
    cid: Cid
    """CID of the repo's first commit."""
    rev: str
    email: str | None = None
    password_hash: str | None = None
    """As `Passwords.hash_new` makes it."""
    invite_code: str | None = None
    deactivated: bool = False
    """Set for an account that migrates here, which stays deactivated until it is activated."""


class Accounts(AccountRegister):
    """The accounts of a server with logins: creates and renames them; its parts do the rest.

    A part is a class in its own file, constructed here with the database and the parts it needs.
    Anything a part stores about an account must also be deleted: in `pds.accounts.erasure`, or in
    `_erase` if a server without logins lacks the table. Any kind of session must be ended in
    `Sessions.end_all`.
    """

    def __init__(
        self,
        db: Database,
        *,
        session_tokens: SessionTokens,
        hostname: str,
        clock: Clock = time.time,
        min_login_ms: int = MIN_LOGIN_MS,
        processes: int = 1,
    ) -> None:
        """Take ownership of `db`, which `close` closes. For `min_login_ms` see `Logins`.

        Passwords are hashed by `processes` of the server.
        """
        super().__init__(db, clock=clock)
        store = self.store
        self._hasher = hasher = PasswordHasher(processes=processes)

        self.access_cutoffs = AccessCutoffs(db, self.watch, clock=clock)
        session_tokens.cutoff_of = self.access_cutoffs.find
        refresh_tokens = RefreshTokens(db, successor_of=session_tokens.successor_of)
        self.app_passwords = AppPasswords(
            db,
            refresh_tokens=refresh_tokens,
            cutoffs=self.access_cutoffs,
            hasher=hasher,
            clock=clock,
        )
        self.logins = Logins(
            store, self.app_passwords, self.access_cutoffs, hasher, min_login_ms=min_login_ms
        )
        self.sessions = Sessions(
            db,
            store,
            tokens=session_tokens,
            refresh_tokens=refresh_tokens,
            app_passwords=self.app_passwords,
            cutoffs=self.access_cutoffs,
            clock=clock,
        )
        self.states = AccountStates(db, store, self.sessions, clock=clock)

        self.email_tokens = EmailTokens(db, clock=clock)
        self.emails = Emails(db, store, self.email_tokens, clock=clock)
        self.passwords = Passwords(
            db,
            store,
            email_tokens=self.email_tokens,
            sessions=self.sessions,
            cutoffs=self.access_cutoffs,
            hasher=hasher,
        )

        self.invites = Invites(db, store, hostname=hostname, clock=clock)
        self.moves = Moves(db, clock=clock)

    async def create_account(self, new: NewAccount) -> Session:
        """Create an account and its first session, in one transaction.

        Raises `AccountExists`, `HandleTaken`, `EmailTaken` or `InvalidInviteCode`; accounts in any
        state conflict.
        """

        def create() -> tuple[RefreshToken, int | None]:
            self._add_rows(new)
            refresh = self.sessions.add_first(new.did)
            self.repo_roots.add(new.did, new.cid, new.rev)
            # A migrating DID may have had an account here before, with tokens from that time.
            return refresh, self.access_cutoffs.save(new.did) if new.deactivated else None

        refresh, valid_from = await write(self.db, create)
        # The DID may have an unwritten head from an earlier account here.
        self.repo_roots.forget(new.did)
        if valid_from is not None:
            self.access_cutoffs.remember(new.did, valid_from)
        return self.sessions.first(refresh)

    async def remove_login(self, did: Did) -> None:
        """Remove address and password of an account, and end its sessions. May be repeated."""

        def remove() -> int:
            self.sessions.end_all(did)
            self.app_passwords.remove_all(did)
            self.store.remove_login(did)
            return self.access_cutoffs.save(did)

        if self.store.get(did).email is not None:
            self.access_cutoffs.remember(did, await write(self.db, remove))

    async def sign_out_everywhere(self, did: Did) -> None:
        """End every session of an account, those of browsers and access tokens included."""

        def end() -> int:
            self.sessions.end_all(did)
            return self.access_cutoffs.save(did)

        self.access_cutoffs.remember(did, await write(self.db, end))

    async def update_handle(self, did: Did, handle: str) -> None:
        """Change the account's handle. Raises `HandleNotAvailable`."""

        def update() -> None:
            check_handle_free_for(self.store, did, handle)
            self.store.set_handle(did, handle.lower())

        await write(self.db, update)

    async def close(self) -> None:
        """Close as `AccountRegister` does, and stop the password hashing threads."""
        try:
            await super().close()
        finally:
            self._hasher.close()

    def _erase(self, did: Did) -> None:
        super()._erase(did)
        self.access_cutoffs.erase(did)
        self.moves.erase(did)

    def _add_rows(self, new: NewAccount) -> None:
        check_did_free(self.store, new.did)
        check_handle_free(self.store, new.handle)
        if new.email is not None:
            check_email_free(self.store, new.email, message=f"Email already taken: {new.email}")
        now_s = self._clock()
        if new.invite_code is not None:
            self.invites.use(new.invite_code, new.did)
        self.store.add(
            new.did,
            handle=new.handle,
            created_at=iso_of(now_s),
            deactivated_at=iso_of(now_s) if new.deactivated else None,
            delete_after=iso_of(now_s + MIGRATION_GRACE_S) if new.deactivated else None,
        )
        if new.email is not None and new.password_hash is not None:
            email = new.email.lower()
            self.store.add_login(new.did, email=email, password_hash=new.password_hash)
