"""The table `holdfast_quota`: accounts whose storage quota differs from the default.

The table is our own addition to the service database; the reference PDS ignores it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from database.connection import Database
from database.retry import write
from pds.accounts.account_store import AccountStore
from repo.syntax import Did

MAX_BYTES: Final = 2**63 - 1
"""The largest quota: SQLite's largest integer."""

_NO_LIMIT: Final = -1
_SCHEMA: Final = f"""
CREATE TABLE IF NOT EXISTS holdfast_quota (
  did TEXT PRIMARY KEY,
  quotaBytes INTEGER NOT NULL CHECK (quotaBytes >= {_NO_LIMIT})
) STRICT, WITHOUT ROWID
"""
_FIND: Final = "SELECT quotaBytes FROM holdfast_quota WHERE did = ?"
_ALL: Final = "SELECT did, quotaBytes FROM holdfast_quota"
_SAVE: Final = (
    "INSERT INTO holdfast_quota (did, quotaBytes) VALUES (?, ?)"
    " ON CONFLICT (did) DO UPDATE SET quotaBytes = excluded.quotaBytes"
)


@dataclass(frozen=True, slots=True)
class Quota:
    """The storage space an account may use, database and blobs together."""

    limit_bytes: int | None
    """0 means that nothing may be added, None that there is no limit."""


class Quotas:
    """Quotas of single accounts. All others have the default quota, which is a setting."""

    def __init__(self, db: Database, store: AccountStore) -> None:
        """Create the table if necessary."""
        self._db = db
        self._store = store
        db.run(_SCHEMA)

    def find(self, did: str) -> Quota | None:
        """Return the account's own quota; None if it has the default one."""
        limit = self._db.value(_FIND, (did,))
        return None if limit is None else _quota(limit)

    def limit_of(self, did: str, *, default_bytes: int | None) -> int | None:
        """Return how many bytes an account may use; None if there is no limit."""
        own = self.find(did)
        return default_bytes if own is None else own.limit_bytes

    async def set(self, did: Did, quota: Quota | None) -> None:
        """Set the account's own quota, or reset it to the default one if `quota` is None.

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


def read_own_quotas(db: Database) -> dict[str, Quota]:
    """Read the quotas from a database, which may lack the table."""
    if not db.connection.table_exists("main", "holdfast_quota"):
        return {}
    return {did: _quota(limit) for did, limit in db.all(_ALL)}


def _quota(limit_bytes: int) -> Quota:
    return Quota(None if limit_bytes == _NO_LIMIT else limit_bytes)
