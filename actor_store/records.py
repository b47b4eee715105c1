"""Records of one actor: the index by URI over the blocks of the repo."""

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
# A loose index scan: one step a collection, where DISTINCT would visit every record.
_COLLECTIONS: Final = (
    "WITH RECURSIVE found (name) AS (SELECT min(collection) FROM record UNION ALL"
    " SELECT (SELECT min(collection) FROM record WHERE collection > found.name)"
    " FROM found WHERE found.name IS NOT NULL)"
    " SELECT name FROM found WHERE name IS NOT NULL LIMIT ?"
)
_LINKS_LOOKED_AT: Final = 1000
"""An account may have imported any number of links to one thing."""
CREATE_ODD: Final = (
    "CREATE TABLE IF NOT EXISTS holdfast_odd_record"
    " (uri TEXT PRIMARY KEY, cid TEXT NOT NULL, reason TEXT NOT NULL) STRICT, WITHOUT ROWID"
)
"""A table of our own, which only stores with an odd record have."""
# What has been deleted or replaced since its import is still in the table.
_ODD: Final = (
    "FROM holdfast_odd_record AS odd JOIN record ON record.uri = odd.uri AND record.cid = odd.cid"
)
_ODD_EXAMPLES: Final = 20


class OddRecord(NamedTuple):
    """A record that no client may write, kept as it came."""

    uri: str
    cid: Cid
    reason: str
    """What is odd about it."""


@dataclass(slots=True, frozen=True)
class OddRecords:
    """How many odd records there are, and the first of them."""

    count: int
    examples: tuple[OddRecord, ...]

    def to_json(self) -> dict[str, Any]:
        """For the owner and the operator."""
        return {
            "count": self.count,
            "examples": [
                {"uri": odd.uri, "cid": str(odd.cid), "reason": odd.reason} for odd in self.examples
            ],
        }


class RecordRef(NamedTuple):
    """A record by its URI and its version; the record itself is the block `cid`."""

    uri: str
    cid: Cid

    @property
    def rkey(self) -> str:
        """The last part of the URI."""
        return self.uri[self.uri.rfind("/") + 1 :]


@dataclass(slots=True, frozen=True)
class StoredRecord:
    """A record as it stands in the repo."""

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
        """The at-uri of a record of this actor."""
        return f"at://{self._did}/{collection}/{rkey}"

    def get(
        self,
        collection: str,
        rkey: str,
        cid: Cid | None = None,
        *,
        include_takendown: bool = False,
    ) -> StoredRecord:
        """The record, which must be version `cid` if that is given. Raises `RecordNotFound`."""
        found = self.find(collection, rkey, include_takendown=include_takendown)
        if found is None or (cid is not None and found.cid != cid):
            raise RecordNotFound(self.uri(collection, rkey))
        return found

    def find(
        self, collection: str, rkey: str, *, include_takendown: bool = False
    ) -> StoredRecord | None:
        """The record, or None."""
        row = self._db.one(f"{_SELECT} WHERE record.uri = ?", (self.uri(collection, rkey),))
        if row is None or (row[4] is not None and not include_takendown):
            return None
        return _record_of(row)

    def find_ref(self, collection: str, rkey: str) -> RecordRef | None:
        """The current version of a record that is not taken down, or None."""
        uri = self.uri(collection, rkey)
        text = self._db.value(
            "SELECT cid FROM record WHERE uri = ? AND takedownRef IS NULL", (uri,)
        )
        return None if text is None else RecordRef(uri, Cid.parse_stored(text))

    def find_cid(self, collection: str, rkey: str) -> Cid | None:
        """The CID of the record, taken down or not, or None. Cheaper than `find`."""
        text = self._db.value("SELECT cid FROM record WHERE uri = ?", (self.uri(collection, rkey),))
        return None if text is None else Cid.parse_stored(text)

    def list_since(self, rev: str, *, limit: int) -> list[StoredRecord]:
        """Records written after `rev`, taken down or not: oldest commit first, then oldest row.

        The rows that one commit made are as old as its writes are in order.
        """
        # The index by rev has the rows of a rev in this order: nothing is sorted.
        rows = self._db.all(
            f"{_SELECT} WHERE record.repoRev > ? ORDER BY record.repoRev, record.rowid LIMIT ?",
            (rev, limit),
        )
        return [_record_of(row) for row in rows]

    def any_until(self, rev: str) -> bool:
        """Whether a record was written at `rev` or before."""
        return self._db.one("SELECT 1 FROM record WHERE repoRev <= ? LIMIT 1", (rev,)) is not None

    def collections(self, *, limit: int = -1) -> list[str]:
        """The collections that have records, rising; the first `limit`, or all."""
        return [name for (name,) in self._db.all(_COLLECTIONS, (limit,))]

    def counts(self) -> dict[str, int]:
        """How many records each collection has. Reads the whole index: for a thread."""
        return dict(
            self._db.all(
                "SELECT collection, count(*) FROM record GROUP BY collection ORDER BY collection"
            )
        )

    def count(self) -> int:
        """How many records there are."""
        return int(self._db.value("SELECT count(*) FROM record"))

    def odd(self) -> OddRecords:
        """The odd records that an import has brought, by their URIs."""
        if not has_odd_table(self._db):
            return OddRecords(0, ())
        rows = self._db.all(
            f"SELECT odd.uri, odd.cid, odd.reason {_ODD} ORDER BY odd.uri LIMIT ?", (_ODD_EXAMPLES,)
        )
        examples = tuple(OddRecord(uri, Cid.parse_stored(cid), reason) for uri, cid, reason in rows)
        return OddRecords(int(self._db.value(f"SELECT count(*) {_ODD}")), examples)

    def backlink_conflicts(self, collection: str, backlinks: Sequence[Backlink]) -> list[str]:
        """Rkeys of the records in `collection` that link to the same things.

        Of each thing, `_LINKS_LOOKED_AT` records of any collection are looked at.
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
        """Records by rkey, falling, or rising with `reverse`; not those taken down.

        `cursor` is the last rkey the caller saw.
        """
        base = self.uri(collection, "")
        # Rkeys of one collection sort as their URIs do, and the URI is the primary key, so a page
        # costs its own rows however many records there are. "0" is the character after "/".
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
        return [RecordRef(uri, Cid.parse_stored(text)) for uri, text in rows]


class RecordTransactor(RecordReader):
    """Writes the index of the records. Every method needs an open transaction."""

    def index(self, collection: str, rkey: str, *, cid: Cid, rev: str, indexed_at: str) -> None:
        """Enter a record written in commit `rev`, or its new version. A takedown stays."""
        self._db.run(
            "INSERT INTO record (uri, cid, collection, rkey, repoRev, indexedAt)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (uri) DO UPDATE"
            " SET cid = excluded.cid, repoRev = excluded.repoRev, indexedAt = excluded.indexedAt",
            (self.uri(collection, rkey), str(cid), collection, rkey, rev, indexed_at),
        )

    def remove(self, collection: str, rkey: str) -> None:
        """Take a record out of the index; an absent one is ignored."""
        self._db.run("DELETE FROM record WHERE uri = ?", (self.uri(collection, rkey),))

    def add_backlinks(self, collection: str, rkey: str, backlinks: Sequence[Backlink]) -> None:
        """Enter what a record links to."""
        uri = self.uri(collection, rkey)
        for link in backlinks:
            params: tuple[SqlValue, ...] = (uri, link.path, link.link_to)
            self._db.run(
                "INSERT INTO backlink (uri, path, linkTo) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
                params,
            )

    def remove_backlinks(self, collection: str, rkey: str) -> None:
        """Forget what a record links to."""
        self._db.run("DELETE FROM backlink WHERE uri = ?", (self.uri(collection, rkey),))

    def set_takedown(self, collection: str, rkey: str, takedown_ref: str | None) -> str | None:
        """Take a record down, or with None reverse it. Raises `RecordNotFound`.

        Return the reference that is kept: that of the first takedown.
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
    """Whether there is the table of `CREATE_ODD`."""
    return db.one("SELECT 1 FROM sqlite_master WHERE name = 'holdfast_odd_record'") is not None


def _record_of(row: Row) -> StoredRecord:
    uri, cid, block, indexed_at, takedown_ref, rev = row
    return StoredRecord(uri, Cid.parse_stored(cid), block, indexed_at, takedown_ref, rev)
