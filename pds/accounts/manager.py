"""`AccountManager`: every operation on the accounts of this server.

Reads are short statements on the event loop. Writes are one transaction each, which backs off
without blocking the loop while another process holds the file.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from database.retry import write
from database.timestamps import iso_of
from pds.accounts.account import ActorAccount
from pds.accounts.codes import new_refresh_jti
from pds.accounts.credential_operations import CredentialOperations
from pds.accounts.erasure import erase
from pds.accounts.errors import (
    AccountExists,
    AccountNotFound,
    EmailTaken,
    HandleNotAvailable,
    HandleTaken,
)
from pds.accounts.invite_operations import InviteOperations
from pds.accounts.quotas import Quota
from pds.accounts.repo_roots import ListedRepo
from pds.accounts.scopes import SessionScope
from pds.accounts.session_operations import Session, SessionOperations
from repo.cid import Cid
from repo.syntax import Did

MIGRATION_GRACE_S: Final = 3 * 24 * 60 * 60
"""How long an account that moves here is expected to stay deactivated."""


@dataclass(frozen=True, slots=True)
class NewAccount:
    """What an account starts with. Without an email address and a password it cannot log in."""

    did: Did
    handle: str
    """In lower case."""
    cid: Cid
    """Of the repo's first commit."""
    rev: str
    email: str | None = None
    password_hash: str | None = None
    """As `AccountManager.hash_new_password` makes it."""
    invite_code: str | None = None
    deactivated: bool = False
    """For an account that moves here: it stays so until it is activated."""


class AccountManager(SessionOperations, CredentialOperations, InviteOperations):
    """The accounts of one server. Takes over the database it is given: `close` closes it."""

    def find_account(
        self,
        identifier: str,
        *,
        include_inactive: bool = False,
        include_takendown: bool = False,
        include_deactivated: bool = False,
    ) -> ActorAccount | None:
        """The account of a DID or handle; one statement.

        Accounts that are taken down or deactivated are found if included; `include_inactive`
        stands for both.
        """
        find = self.store.find if identifier.startswith("did:") else self.store.find_by_handle
        return find(
            identifier,
            include_takendown=include_takendown or include_inactive,
            include_deactivated=include_deactivated or include_inactive,
        )

    def get_account(self, did: str, *, include_inactive: bool = False) -> ActorAccount:
        """The account of a DID. Raises `AccountNotFound`."""
        account = self.find_account(did, include_inactive=include_inactive)
        if account is None:
            raise AccountNotFound
        return account

    def find_account_by_email(
        self, email: str, *, include_inactive: bool = False
    ) -> ActorAccount | None:
        """The account that has an email address."""
        return self.store.find_by_email(
            email, include_takendown=include_inactive, include_deactivated=include_inactive
        )

    def list_repos(self, *, limit: int, after: tuple[str, str] | None = None) -> list[ListedRepo]:
        """Repos in any state, in the order their accounts were made.

        `after` is the `created_at` and DID of the last one of the page before.
        """
        return self.repo_roots.list(limit=limit, after=after)

    def check_health(self) -> None:
        """Raise `DatabaseError` if the database does not answer."""
        self.db.value("SELECT 1 FROM actor LIMIT 1")

    async def create_account(self, new: NewAccount) -> Session:
        """Make an account and open its first session, in one transaction.

        Raises `AccountExists`, `HandleTaken`, `EmailTaken` or `InvalidInviteCode`; clashes with
        accounts in any state count.
        """
        refresh = self.session_tokens.create_refresh(new.did, new_refresh_jti())

        def create() -> int | None:
            self._add_rows(new)
            self.refresh_tokens.add(refresh, app_password_name=None)
            self.repo_roots.add(new.did, new.cid, new.rev)
            # A DID that moves in may have been here before, with sessions of that time.
            return self.access_cutoffs.save(new.did) if new.deactivated else None

        valid_from = await write(self.db, create)
        # A head that the DID had here before.
        self.repo_roots.forget(new.did)
        if valid_from is not None:
            self.access_cutoffs.remember(new.did, valid_from)
        return self._session(refresh, SessionScope.ACCESS)

    async def host(self, did: Did, *, handle: str | None, cid: str, rev: str) -> None:
        """Let an account without a login be there, with this handle and head; or change those.

        It has no handle if another account has that one.
        """

        def host() -> None:
            other = handle and self.find_account(handle, include_inactive=True)
            free = handle if not other or other.did == did else None
            if self.find_account(did, include_inactive=True) is None:
                self.store.add(
                    did,
                    handle=free,
                    created_at=self._now_iso(),
                    deactivated_at=None,
                    delete_after=None,
                )
            else:
                self.store.set_handle(did, free)
            self.repo_roots.add(did, Cid.parse(cid), rev)

        await write(self.db, host)

    async def update_handle(self, did: Did, handle: str) -> None:
        """Give the account another handle. Raises `HandleNotAvailable`."""

        def update() -> None:
            other = self.find_account(handle, include_inactive=True)
            if other is not None and other.did != did:
                raise HandleNotAvailable(f"Handle already taken: {handle}")
            self.store.set_handle(did, handle.lower())

        await write(self.db, update)

    async def deactivate(self, did: Did, *, delete_after: str | None = None) -> None:
        """Hide the account until it is activated. Sessions go on. Raises `AccountNotFound`."""

        def deactivate() -> None:
            self.get_account(did, include_inactive=True)
            self.store.set_deactivated(did, self._now_iso(), delete_after=delete_after)

        await write(self.db, deactivate)

    async def activate(self, did: Did) -> None:
        """End a deactivation; a takedown stays. Raises `AccountNotFound`."""

        def activate() -> None:
            self.get_account(did, include_inactive=True)
            self.store.set_deactivated(did, None)

        await write(self.db, activate)

    async def takedown(self, did: Did, *, ref: str | None = None) -> str:
        """Take the account down and end its sessions, OAuth's too. Raises `AccountNotFound`.

        Return the reference that is kept: that of the first takedown, by default its time.
        """

        def takedown() -> str:
            account = self.get_account(did, include_inactive=True)
            kept = account.takedown_ref or ref or self._now_iso()
            self.store.set_takedown_ref(did, kept)
            self._end_all_sessions(did)
            return kept

        return await write(self.db, takedown)

    async def untakedown(self, did: Did) -> None:
        """Reverse a takedown; a deactivation stays. Raises `AccountNotFound`."""

        def untakedown() -> None:
            self.get_account(did, include_inactive=True)
            self.store.set_takedown_ref(did, None)

        await write(self.db, untakedown)

    async def set_quota(self, did: Did, quota: Quota | None) -> None:
        """Give the account a quota of its own, or the default one. Raises `AccountNotFound`."""

        def save() -> None:
            self.get_account(did, include_inactive=True)
            self.quotas.save(did, quota)

        await write(self.db, save)
        self.quotas.remember(did, quota)

    async def delete_account(self, did: Did) -> None:
        """Delete every row of the account. An unknown DID is fine."""
        await write(self.db, lambda: erase(self.db, did))
        self.repo_roots.forget(did)
        self.quotas.remember(did, None)

    async def close(self) -> None:
        """Write the last repo heads and close the database. Raises `DatabaseError`."""
        try:
            await self.repo_roots.close()
        finally:
            self._hasher.close()
            self.db.close()

    def _add_rows(self, new: NewAccount) -> None:
        email = None if new.email is None else new.email.lower()
        if self.find_account(new.did, include_inactive=True) is not None:
            raise AccountExists(new.did)
        if self.find_account(new.handle, include_inactive=True) is not None:
            raise HandleTaken(new.handle)
        if email is not None and self.find_account_by_email(email, include_inactive=True):
            raise EmailTaken(f"Email already taken: {new.email}")
        now_s = self._clock()
        if new.invite_code is not None:
            self.invites.use(new.invite_code, new.did, now_s=now_s)
        self.store.add(
            new.did,
            handle=new.handle,
            created_at=iso_of(now_s),
            deactivated_at=iso_of(now_s) if new.deactivated else None,
            delete_after=iso_of(now_s + MIGRATION_GRACE_S) if new.deactivated else None,
        )
        if email is not None and new.password_hash is not None:
            self.store.add_login(new.did, email=email, password_hash=new.password_hash)
