"""The table `holdfast_quota`: accounts that may take more or less room than the others.

A table of our own in the service database, which the reference PDS ignores.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from database.connection import Database
from database.retry import write
from pds.accounts.account_store import AccountStore
from repo.syntax import Did

MAX_BYTES: Final = 2**63 - 1
"""The largest quota, as of SQLite's integers."""

_NO_LIMIT: Final = -1
_SCHEMA: Final = f"""
CREATE TABLE IF NOT EXISTS holdfast_quota (
  did TEXT PRIMARY KEY,
  quotaBytes INTEGER NOT NULL CHECK (quotaBytes >= {_NO_LIMIT})
) STRICT, WITHOUT ROWID
"""
_ALL: Final = "SELECT did, quotaBytes FROM holdfast_quota"
_SAVE: Final = (
    "INSERT INTO holdfast_quota (did, quotaBytes) VALUES (?, ?)"
    " ON CONFLICT (did) DO UPDATE SET quotaBytes = excluded.quotaBytes"
)


@dataclass(frozen=True, slots=True)
class Quota:
    """How much room an account may take, database and blobs together."""

    limit_bytes: int | None
    """0: nothing more may be added; None: there is no limit."""


class Quotas:
    """Quotas of single accounts; all others have the default one, which settings tell."""

    def __init__(self, db: Database, store: AccountStore) -> None:
        """Make the table if need be."""
        self._db = db
        self._store = store
        db.run(_SCHEMA)
        # Asked on every write, so kept in memory: nobody else changes the table meanwhile.
        self._known = read_own_quotas(db)

    def find(self, did: str) -> Quota | None:
        """The quota of an account's own; None if it has the default one."""
        return self._known.get(did)

    def limit_of(self, did: str, *, default_bytes: int | None) -> int | None:
        """How many bytes an account may take; None if there is no limit."""
        own = self._known.get(did)
        return default_bytes if own is None else own.limit_bytes

    async def set(self, did: Did, quota: Quota | None) -> None:
        """Give the account a quota of its own or, with None, the default one.

        Raises `AccountNotFound`.
        """

        def save() -> None:
            self._store.get(did)
            if quota is None:
                self._db.run("DELETE FROM holdfast_quota WHERE did = ?", (did,))
                return
            limit = quota.limit_bytes
            self._db.run(_SAVE, (did, _NO_LIMIT if limit is None else limit))

        await write(self._db, save)
        if quota is None:
            self.forget(did)
        else:
            self._known[did] = quota

    def forget(self, did: Did) -> None:
        """Drop what is kept in memory: the account has no row any more."""
        self._known.pop(did, None)


def read_own_quotas(db: Database) -> dict[str, Quota]:
    """The quotas in a database, which may be one that has no table of them."""
    if not db.connection.table_exists("main", "holdfast_quota"):
        return {}
    return {did: Quota(None if limit == _NO_LIMIT else limit) for did, limit in db.all(_ALL)}
