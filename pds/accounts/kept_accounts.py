"""`KeptAccounts`: accounts that were read lately, in memory until a row of any account changes.

Nearly every request asks for an account, and few requests change one. Any process may.
"""

from __future__ import annotations

from typing import Final

from database.change_watch import ChangeWatch
from database.connection import Database
from pds.accounts.account import ActorAccount

MAX_KEPT: Final = 4096
"""Accounts, of less than a kilobyte each. Beyond it, those that were read first go."""

_TABLES: Final = ("actor", "account")


class KeptAccounts:
    """Accounts by DID and by handle. Inside a transaction it knows none, and keeps none."""

    def __init__(self, db: Database, watch: ChangeWatch) -> None:
        self._db = db
        self._watch = watch
        self._by_did: dict[str, ActorAccount] = {}
        self._by_handle: dict[str, ActorAccount] = {}
        watch.on_change(self._forget, own_tables=_TABLES)

    def find(self, did: str) -> ActorAccount | None:
        """Return the account with a DID, if it is kept."""
        if self._db.in_transaction:
            return None
        self._watch.look()
        return self._by_did.get(did)

    def find_by_handle(self, handle: str) -> ActorAccount | None:
        """Return the account with a handle, ignoring case, if it is kept."""
        # SQLite ignores the case of no other letters.
        if self._db.in_transaction or not handle.isascii():
            return None
        self._watch.look()
        return self._by_handle.get(handle.lower())

    def keep(self, account: ActorAccount) -> None:
        """Keep an account that has been read since it was looked for here."""
        if self._db.in_transaction:
            return  # It may be rolled back.
        _put(self._by_did, account.did, account)
        if account.handle is not None and account.handle.isascii():
            _put(self._by_handle, account.handle.lower(), account)

    def _forget(self) -> None:
        self._by_did.clear()
        self._by_handle.clear()


def _put(kept: dict[str, ActorAccount], key: str, account: ActorAccount) -> None:
    if len(kept) >= MAX_KEPT:
        del kept[next(iter(kept))]
    kept[key] = account
