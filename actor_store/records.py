"""Records of one actor: an index by URI over the repo's blocks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from actor_store.backlinks import Backlink
from actor_store.errors import RecordNotFound
from database.connection import Database, Row, SqlValue
from repo.cid import Cid

_SELECT: Final = (
    "SELECT record.uri, record.cid, repo_block.content, record.indexedAt, record.takedownRef,"
    " record.repoRev FROM record JOIN repo_block ON repo_block.cid = record.cid"
)
# A loose index scan: one step per collection, where DISTINCT would visit every record.
_COLLECTIONS: Final = (
    "WITH RECURSIVE found (name) AS (SELECT min(collection) FROM record UNION ALL"
    " SELECT (SELECT min(collection) FROM record WHERE collection > found.name)"
    " FROM found WHERE found.name IS NOT NULL)"
    " SELECT name FROM found WHERE name IS NOT NULL LIMIT ?"
)
_COUNTS: Final = (
    "SELECT collection, count(*) FROM record WHERE collection > ?"
    " GROUP BY collection ORDER BY collection LIMIT ?"
)
_LINKS_LOOKED_AT: Final = 1000
"""Bounds the scan, because an account may have imported any number of links to one thing."""
CREATE_ODD: Final = (
    "CREATE TABLE IF NOT EXISTS holdfast_odd_record"
    " (uri TEXT PRIMARY KEY, cid TEXT NOT NULL, reason TEXT NOT NULL) STRICT, WITHOUT ROWID"
)
"""A table of our own; only stores with an odd record have it."""
# The table still holds records deleted or replaced since their import.
_ODD: Final = (
    "FROM holdfast_odd_record AS odd JOIN record ON record.uri = odd.uri AND record.cid = odd.cid"
)
_parse_cid: Final = Cid.parse_stored
"""Looked up once, because a page of records calls it for every row."""
_ODD_EXAMPLES: Final = 20


class OddRecord(NamedTuple):
    """A record that no client may write, stored unchanged."""

    uri: str
    cid: Cid
    reason: str
    """Why it is odd."""


@dataclass(slots=True, frozen=True)
class OddRecords:
    """The number of odd records, and the first few of them."""

    count: int
    examples: tuple[OddRecord, ...]

    def to_json(self) -> dict[str, Any]:
        """Return the JSON shown to the owner and the operator."""
        return {
            "count": self.count,
            "examples": [
                {"uri": odd.uri, "cid": str(odd.cid), "reason": odd.reason} for odd in self.examples
            ],
        }


class RecordRef(NamedTuple):
    """A record's URI and version; the record itself is the block `cid`."""

    uri: str
    cid: Cid

    @property
    def rkey(self) -> str:
        """The last part of the URI."""
        return self.uri[self.uri.rfind("/") + 1 :]


@dataclass(slots=True, frozen=True)
class StoredRecord:
    """A record in the repo."""

    uri: str
    cid: Cid
    block: bytes
    """The record in DAG-CBOR."""
    indexed_at: str
    """When it was last written, ISO 8601 in UTC with milliseconds."""
    takedown_ref: str | None
    rev: str
    """The rev of the commit that last wrote it."""


class RecordReader:
    """Reads the records of one actor."""

    def __init__(self, db: Database, did: str) -> None:
        self._db = db
        self._did = did

    def uri(self, collection: str, rkey: str) -> str:
        """Return the at-uri of a record of this actor."""
        return f"at://{self._did}/{collection}/{rkey}"

    def get(
        self,
        collection: str,
        rkey: str,
        cid: Cid | None = None,
        *,
        include_takendown: bool = False,
    ) -> StoredRecord:
        """Return the record, in version `cid` if that is given. Raises `RecordNotFound`."""
        found = self.find(collection, rkey, include_takendown=include_takendown)
        if found is None or (cid is not None and found.cid != cid):
            raise RecordNotFound(self.uri(collection, rkey))
        return found

    def find(
        self, collection: str, rkey: str, *, include_takendown: bool = False
    ) -> StoredRecord | None:
        """Return the record, or None."""
        row = self._db.one(f"{_SELECT} WHERE record.uri = ?", (self.uri(collection, rkey),))
        if row is None or (row[4] is not None and not include_takendown):
            return None
        return _record_of(row)

    def find_ref(self, collection: str, rkey: str) -> RecordRef | None:
        """Return the current version of a record that is not taken down, or None."""
        uri = self.uri(collection, rkey)
        text = self._db.value(
            "SELECT cid FROM record WHERE uri = ? AND takedownRef IS NULL", (uri,)
        )
        return None if text is None else RecordRef(uri, _parse_cid(text))

    def find_cid(self, collection: str, rkey: str) -> Cid | None:
        """Return the CID of the record, taken down or not, or None. Cheaper than `find`."""
        text = self._db.value("SELECT cid FROM record WHERE uri = ?", (self.uri(collection, rkey),))
        return None if text is None else _parse_cid(text)

    def list_since(self, rev: str, *, limit: int) -> list[StoredRecord]:
        """Return records written after `rev`, taken down or not, ordered by commit, then by row.

        The rows of one commit are in the order of its writes.
        """
        # The index by rev has this order, so nothing is sorted.
        rows = self._db.all(
            f"{_SELECT} WHERE record.repoRev > ? ORDER BY record.repoRev, record.rowid LIMIT ?",
            (rev, limit),
        )
        return [_record_of(row) for row in rows]

    def keys_since(self, rev: str, *, limit: int) -> list[tuple[str, str]]:
        """Return collection and rkey of records written after `rev`, but not of deleted ones."""
        rows = self._db.all(
            "SELECT collection, rkey FROM record WHERE repoRev > ? LIMIT ?", (rev, limit)
        )
        return [(collection, rkey) for collection, rkey in rows]

    def rkeys(self, collection: str) -> list[str]:
        """Return the keys of all records of a collection, taken down or not. For a thread."""
        rows = self._db.all("SELECT rkey FROM record WHERE collection = ?", (collection,))
        return [rkey for (rkey,) in rows]

    def any_until(self, rev: str) -> bool:
        """Whether any record was written at `rev` or before."""
        return self._db.one("SELECT 1 FROM record WHERE repoRev <= ? LIMIT 1", (rev,)) is not None

    def collections(self, *, limit: int = -1) -> list[str]:
        """Return the collections that have records, ascending; the first `limit`, or all."""
        return [name for (name,) in self._db.all(_COLLECTIONS, (limit,))]

    def counts(self, *, after: str = "", limit: int = -1) -> dict[str, int]:
        """Count the records of each collection, of the first `limit` above `after`, or of all.

        Reads the index of all those records, so use a thread.
        """
        return dict(self._db.all(_COUNTS, (after, limit)))

    def count(self) -> int:
        """Return the number of records."""
        return int(self._db.value("SELECT count(*) FROM record"))

    def odd(self) -> OddRecords:
        """Return the odd records from imports, ordered by URI."""
        if not has_odd_table(self._db):
            return OddRecords(0, ())
        rows = self._db.all(
            f"SELECT odd.uri, odd.cid, odd.reason {_ODD} ORDER BY odd.uri LIMIT ?", (_ODD_EXAMPLES,)
        )
        examples = tuple(OddRecord(uri, _parse_cid(cid), reason) for uri, cid, reason in rows)
        return OddRecords(int(self._db.value(f"SELECT count(*) {_ODD}")), examples)

    def backlink_conflicts(self, collection: str, backlinks: Sequence[Backlink]) -> list[str]:
        """Return the rkeys of records in `collection` that have one of these backlinks.

        For each backlink, at most `_LINKS_LOOKED_AT` records of any collection are examined.
        """
        rkeys: dict[str, None] = {}
        for link in backlinks:
            rows = self._db.all(
                "SELECT record.rkey"
                " FROM (SELECT uri FROM backlink WHERE path = ? AND linkTo = ? LIMIT ?) AS link"
                " JOIN record ON record.uri = link.uri WHERE record.collection = ?",
                (link.path, link.link_to, _LINKS_LOOKED_AT, collection),
            )
            rkeys.update((rkey, None) for (rkey,) in rows)
        return list(rkeys)

    def list_refs(
        self,
        collection: str,
        *,
        limit: int,
        cursor: str | None = None,
        reverse: bool = False,
    ) -> list[RecordRef]:
        """Return records by rkey, descending, or ascending with `reverse`, except those taken down.

        `cursor` is the last rkey the caller saw.
        """
        base = self.uri(collection, "")
        # Rkeys of one collection sort like their URIs, and the URI is the primary key, so a page
        # costs only its own rows, however many records exist. "0" is the character after "/".
        low, high = base, base[:-1] + "0"
        if cursor is not None and reverse:
            low = max(low, base + cursor)
        elif cursor is not None:
            high = min(high, base + cursor)
        rows = self._db.all(
            "SELECT uri, cid FROM record WHERE uri > ? AND uri < ? AND takedownRef IS NULL"
            f" ORDER BY uri {'ASC' if reverse else 'DESC'} LIMIT ?",
            (low, high, limit),
        )
        return [RecordRef(uri, _parse_cid(text)) for uri, text in rows]


class RecordTransactor(RecordReader):
    """Writes the index of records. Every method needs an open transaction."""

    def index(self, collection: str, rkey: str, *, cid: Cid, rev: str, indexed_at: str) -> None:
        """Upsert a record written in commit `rev`. A takedown is kept."""
        self._db.run(
            "INSERT INTO record (uri, cid, collection, rkey, repoRev, indexedAt)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (uri) DO UPDATE"
            " SET cid = excluded.cid, repoRev = excluded.repoRev, indexedAt = excluded.indexedAt",
            (self.uri(collection, rkey), str(cid), collection, rkey, rev, indexed_at),
        )

    def remove(self, collection: str, rkey: str) -> None:
        """Remove a record from the index; a missing one is ignored."""
        self._db.run("DELETE FROM record WHERE uri = ?", (self.uri(collection, rkey),))

    def add_backlinks(self, collection: str, rkey: str, backlinks: Sequence[Backlink]) -> None:
        """Insert a record's backlinks."""
        uri = self.uri(collection, rkey)
        for link in backlinks:
            params: tuple[SqlValue, ...] = (uri, link.path, link.link_to)
            self._db.run(
                "INSERT INTO backlink (uri, path, linkTo) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                params,
            )

    def remove_backlinks(self, collection: str, rkey: str) -> None:
        """Delete a record's backlinks."""
        self._db.run("DELETE FROM backlink WHERE uri = ?", (self.uri(collection, rkey),))

    def set_takedown(self, collection: str, rkey: str, takedown_ref: str | None) -> str | None:
        """Take a record down, or reverse the takedown (None). Raises `RecordNotFound`.

        Returns the stored reference, which is that of the first takedown.
        """
        uri = self.uri(collection, rkey)
        row = self._db.one(
            "UPDATE record SET takedownRef = iif(?1 IS NULL, NULL, coalesce(takedownRef, ?1))"
            " WHERE uri = ?2 RETURNING takedownRef",
            (takedown_ref, uri),
        )
        if row is None:
            raise RecordNotFound(uri)
        kept: str | None = row[0]
        return kept


def has_odd_table(db: Database) -> bool:
    """Whether the table of `CREATE_ODD` exists."""
    return db.one("SELECT 1 FROM sqlite_master WHERE name = 'holdfast_odd_record'") is not None


def _record_of(row: Row) -> StoredRecord:
    uri, cid, block, indexed_at, takedown_ref, rev = row
    return StoredRecord(uri, _parse_cid(cid), block, indexed_at, takedown_ref, rev)
