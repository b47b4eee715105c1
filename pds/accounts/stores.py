"""The stores of the service database, together: what every operation on accounts works with."""

from __future__ import annotations

import time

from database.connection import Database
from database.timestamps import Clock, iso_of
from pds.accounts.access_cutoffs import AccessCutoffs
from pds.accounts.account import ActorAccount
from pds.accounts.account_store import AccountStore
from pds.accounts.app_passwords import AppPasswords
from pds.accounts.email_tokens import EmailTokens
from pds.accounts.errors import AccountNotFound, NoLogin
from pds.accounts.invites import Invites
from pds.accounts.passwords import PasswordHasher
from pds.accounts.quotas import Quotas
from pds.accounts.refresh_tokens import RefreshTokens
from pds.accounts.repo_roots import RepoRoots
from pds.accounts.session_tokens import SessionTokens
from repo.syntax import Did

MIN_LOGIN_MS = 350


class AccountStores:
    """One store for each group of tables, and the clock, hasher and tokens they are used with.

    `min_login_ms` is the least time that checking a password takes, so that an answer does not
    tell by its haste whether there is such an account.
    """

    def __init__(
        self,
        db: Database,
        *,
        session_tokens: SessionTokens,
        hostname: str,
        hasher: PasswordHasher | None = None,
        clock: Clock = time.time,
        min_login_ms: int = MIN_LOGIN_MS,
    ) -> None:
        self.db = db
        self.store = AccountStore(db)
        self.access_cutoffs = AccessCutoffs(db, session_tokens.valid_from, clock=clock)
        self.app_passwords = AppPasswords(db)
        self.email_tokens = EmailTokens(db)
        self.invites = Invites(db)
        self.quotas = Quotas(db)
        self.refresh_tokens = RefreshTokens(db, successor_of=session_tokens.successor_of)
        self.repo_roots = RepoRoots(db, clock=clock)
        self.session_tokens = session_tokens
        self._hasher = hasher or PasswordHasher()
        self._hostname = hostname
        self._clock = clock
        self._min_login_s = min_login_ms / 1000

    def _get_with_login(self, did: str) -> ActorAccount:
        """The account of a DID in any state. Raises `AccountNotFound` or `NoLogin`."""
        account = self.store.find(did, include_takendown=True, include_deactivated=True)
        if account is None:
            raise AccountNotFound
        if account.email is None:
            raise NoLogin(did)
        return account

    def _now_iso(self) -> str:
        return iso_of(self._clock())

    def _end_all_sessions(self, did: Did) -> None:
        """End every session, OAuth's too. Access tokens need a cutoff to end before they expire."""
        self.refresh_tokens.revoke_all(did)
        self.db.run("DELETE FROM token WHERE did = ?", (did,))
