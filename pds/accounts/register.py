"""`AccountRegister`: the accounts a server hosts, and the heads of their repositories.

Each `async` method is one transaction, which backs off without blocking the event loop while
another process holds the file. The other methods are short statements.
"""

from __future__ import annotations

import time

from database.change_watch import ChangeWatch
from database.connection import Database
from database.retry import write
from database.timestamps import Clock, iso_of
from pds.accounts.account import ActorAccount
from pds.accounts.account_store import AccountStore
from pds.accounts.erasure import erase
from pds.accounts.errors import AccountNotFound
from pds.accounts.kept_accounts import KeptAccounts
from pds.accounts.quotas import Quotas
from pds.accounts.repo_roots import RepoRoots
from repo.cid import Cid
from repo.syntax import Did


class AccountRegister:
    """Finds accounts and stores the heads of their repositories: all that reads need."""

    def __init__(self, db: Database, *, clock: Clock = time.time) -> None:
        """Take ownership of `db`, which `close` closes."""
        self.db = db
        self._clock = clock
        self.watch = ChangeWatch(db)
        self.store = AccountStore(db, KeptAccounts(db, self.watch))
        self.quotas = Quotas(db, self.store)
        self.repo_roots = RepoRoots(db, clock=clock)

    def find_account(
        self, identifier: str, *, include_inactive: bool = False
    ) -> ActorAccount | None:
        """Return the account with a DID or handle; one statement at most.

        With `include_inactive`, accounts that are taken down or deactivated are found too.
        """
        find = self.store.find if identifier.startswith("did:") else self.store.find_by_handle
        return find(
            identifier, include_takendown=include_inactive, include_deactivated=include_inactive
        )

    def get_account(self, did: str, *, include_inactive: bool = False) -> ActorAccount:
        """Return the account with a DID. Raises `AccountNotFound`."""
        account = self.find_account(did, include_inactive=include_inactive)
        if account is None:
            raise AccountNotFound
        return account

    def find_account_by_email(
        self, email: str, *, include_inactive: bool = False
    ) -> ActorAccount | None:
        """Return the account with an email address."""
        return self.store.find_by_email(
            email, include_takendown=include_inactive, include_deactivated=include_inactive
        )

    def check_health(self) -> None:
        """Raise `DatabaseError` if the database cannot be read."""
        self.db.value("SELECT 1 FROM actor LIMIT 1")

    async def upsert_hosted(
        self, did: Did, *, handle: str | None, cid: str, rev: str, deactivated: bool = False
    ) -> None:
        """Create or update an account that has no login.

        The handle is left empty if another account has it. A new one may start `deactivated`.
        """

        def upsert() -> None:
            other = handle and self.find_account(handle, include_inactive=True)
            free = handle if not other or other.did == did else None
            if self.find_account(did, include_inactive=True) is None:
                self.store.add(
                    did,
                    handle=free,
                    created_at=iso_of(self._clock()),
                    deactivated_at=iso_of(self._clock()) if deactivated else None,
                    delete_after=None,
                )
            else:
                self.store.set_handle(did, free)
            self.repo_roots.add(did, Cid.parse(cid), rev)

        await write(self.db, upsert)

    async def delete_account(self, did: Did) -> None:
        """Delete every row of the account. An unknown DID is fine."""
        await write(self.db, lambda: self._erase(did))
        self.repo_roots.forget(did)

    async def close(self) -> None:
        """Write the last repo heads and close the database. Raises `DatabaseError`."""
        try:
            await self.repo_roots.close()
        finally:
            self.db.close()

    def _erase(self, did: Did) -> None:
        """Delete every row of the account, inside a transaction."""
        erase(self.db, did)
