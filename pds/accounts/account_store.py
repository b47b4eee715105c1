"""The tables `actor` and `account`: the accounts of this server and their states.

Methods that write must be called inside a transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from database.connection import Database, array_of
from pds.accounts.account import ActorAccount
from pds.accounts.errors import AccountNotFound, NoLogin
from pds.accounts.kept_accounts import KeptAccounts
from repo.syntax import Did

COLUMNS: Final = """
SELECT actor.did, actor.handle, actor.createdAt, actor.takedownRef, actor.deactivatedAt,
       actor.deleteAfter, account.email, account.emailConfirmedAt, account.invitesDisabled
"""
"""The beginning of a SELECT whose rows `account_of` reads."""
_SELECT: Final = f"{COLUMNS} FROM actor LEFT JOIN account ON account.did = actor.did"
# `+?` keeps SQLite, built with STAT4, from replanning the join for each bound DID (10 us).
_BY_DID: Final = f"{_SELECT} WHERE actor.did = +?"
_BY_DIDS: Final = f"{_SELECT} WHERE actor.did IN (SELECT value FROM carray(?))"
_BY_HANDLE: Final = f"{_SELECT} WHERE lower(actor.handle) = lower(?)"
# An inner join, so that SQLite starts from the index on the address.
_BY_EMAIL: Final = (
    f"{COLUMNS} FROM account JOIN actor ON actor.did = account.did"
    " WHERE lower(account.email) = lower(?)"
)
_PAGE: Final = (
    f"{_SELECT} WHERE (actor.createdAt, actor.did) > (?, ?)"
    " ORDER BY actor.createdAt, actor.did LIMIT ?"
)


class AccountStore:
    """Rows of `actor` and `account`.

    Lookups hide accounts that are taken down or deactivated, unless told to include them.
    """

    def __init__(self, db: Database, kept: KeptAccounts | None = None) -> None:
        """Read through `kept`, if it is given."""
        self._db = db
        self._kept = kept

    def find(
        self, did: str, *, include_takendown: bool = False, include_deactivated: bool = False
    ) -> ActorAccount | None:
        """Return the account with a DID, as every request with a token does."""
        kept = None if self._kept is None else self._kept.find(did)
        account = kept or self._read(_BY_DID, did)
        return _visible(account, include_takendown, include_deactivated)

    def find_by_handle(
        self, handle: str, *, include_takendown: bool = False, include_deactivated: bool = False
    ) -> ActorAccount | None:
        """Return the account with a handle, ignoring case."""
        kept = None if self._kept is None else self._kept.find_by_handle(handle)
        account = kept or self._read(_BY_HANDLE, handle)
        return _visible(account, include_takendown, include_deactivated)

    def find_by_email(
        self, email: str, *, include_takendown: bool = False, include_deactivated: bool = False
    ) -> ActorAccount | None:
        """Return the account with an email address, ignoring case."""
        account = self._read(_BY_EMAIL, email)
        return _visible(account, include_takendown, include_deactivated)

    def get(self, did: str) -> ActorAccount:
        """Return the account with a DID, in any state. Raises `AccountNotFound`."""
        account = self.find(did, include_takendown=True, include_deactivated=True)
        if account is None:
            raise AccountNotFound
        return account

    def get_with_login(self, did: str) -> ActorAccount:
        """Do as `get`, and raise `NoLogin` if the account has no login."""
        account = self.get(did)
        if account.email is None:
            raise NoLogin(did)
        return account

    def find_many(self, dids: Sequence[str]) -> dict[str, ActorAccount]:
        """Return the accounts of `dids` that exist, in any state, by DID."""
        rows = self._db.all(_BY_DIDS, (array_of(dids),))
        return {row[0]: account_of(row) for row in rows}

    def list_page(self, *, limit: int, after: tuple[str, str] | None = None) -> list[ActorAccount]:
        """Return a page of accounts in any state, oldest first.

        `after` is the `created_at` and DID of the last account on the previous page.
        """
        # A condition that the first page does without would make each page read all before it.
        created_at, did = after or ("", "")
        return [account_of(row) for row in self._db.all(_PAGE, (created_at, did, limit))]

    def iter_all(self) -> Iterator[ActorAccount]:
        """Iterate over all accounts in any state, oldest first."""
        rows = self._db.iter(f"{_SELECT} ORDER BY actor.createdAt, actor.did")
        return (account_of(row) for row in rows)

    def count(self) -> int:
        """Return the number of accounts in any state."""
        return int(self._db.value("SELECT count(*) FROM actor"))

    def password_hash(self, did: str) -> str | None:
        """Return the hash of the account's password; None for an account without one."""
        stored: str | None = self._db.value(
            "SELECT passwordScrypt FROM account WHERE did = ?", (did,)
        )
        return stored

    def add(
        self,
        did: Did,
        *,
        handle: str | None,
        created_at: str,
        deactivated_at: str | None,
        delete_after: str | None,
    ) -> None:
        """Insert a row of `actor`. The caller has checked for conflicts in the same transaction."""
        self._db.run(
            "INSERT INTO actor (did, handle, createdAt, deactivatedAt, deleteAfter)"
            " VALUES (?, ?, ?, ?, ?)",
            (did, handle, created_at, deactivated_at, delete_after),
        )

    def add_login(self, did: Did, *, email: str, password_hash: str) -> None:
        """Give the account a login."""
        self._db.run(
            "INSERT INTO account (did, email, passwordScrypt) VALUES (?, ?, ?)",
            (did, email, password_hash),
        )

    def remove_login(self, did: Did) -> None:
        """Remove the login of the account, if it has one."""
        self._db.run("DELETE FROM account WHERE did = ?", (did,))

    def set_handle(self, did: Did, handle: str | None) -> None:
        """Change the handle."""
        self._db.run("UPDATE actor SET handle = ? WHERE did = ?", (handle, did))

    def set_deactivated(self, did: Did, at: str | None, *, delete_after: str | None = None) -> None:
        """Deactivate the account at a time, or activate it if `at` is None."""
        self._db.run(
            "UPDATE actor SET deactivatedAt = ?, deleteAfter = ? WHERE did = ?",
            (at, delete_after, did),
        )

    def set_takedown_ref(self, did: Did, ref: str | None) -> None:
        """Take the account down with a reference, or reverse that if `ref` is None."""
        self._db.run("UPDATE actor SET takedownRef = ? WHERE did = ?", (ref, did))

    def set_email(self, did: Did, email: str) -> None:
        """Change the address, which makes it unconfirmed."""
        self._db.run(
            "UPDATE account SET email = ?, emailConfirmedAt = NULL WHERE did = ?", (email, did)
        )

    def set_email_confirmed(self, did: Did, at: str) -> None:
        """Mark the address as confirmed."""
        self._db.run("UPDATE account SET emailConfirmedAt = ? WHERE did = ?", (at, did))

    def set_password_hash(self, did: Did, password_hash: str) -> None:
        """Change the password."""
        self._db.run("UPDATE account SET passwordScrypt = ? WHERE did = ?", (password_hash, did))

    def set_invites_disabled(self, did: Did, *, disabled: bool) -> None:
        """Set whether the account's new invite codes start disabled."""
        self._db.run("UPDATE account SET invitesDisabled = ? WHERE did = ?", (disabled, did))

    def _read(self, sql: str, sought: str) -> ActorAccount | None:
        row = self._db.one(sql, (sought,))
        if row is None:
            return None
        account = account_of(row)
        if self._kept is not None:
            self._kept.keep(account)
        return account


def _visible(
    account: ActorAccount | None, include_takendown: bool, include_deactivated: bool
) -> ActorAccount | None:
    if account is None:
        return None
    if account.takedown_ref is not None and not include_takendown:
        return None
    if account.deactivated_at is not None and not include_deactivated:
        return None
    return account


def account_of(row: tuple[Any, ...]) -> ActorAccount:
    """Return the account in a row of `COLUMNS`."""
    did, handle, created_at, takedown_ref, deactivated_at, delete_after = row[:6]
    email, email_confirmed_at, invites_disabled = row[6:]
    return ActorAccount(
        did,
        handle,
        created_at,
        takedown_ref,
        deactivated_at,
        delete_after,
        email,
        email_confirmed_at,
        bool(invites_disabled),
    )
