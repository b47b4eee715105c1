"""Rows of one actor by the thousand: the statements of an import.

Each statement takes an array (`array_of`) of concatenated values, such as the text of a CID
followed by a block. A record is identified by its key in the tree, `collection/rkey`.

While the CAR is read, a block's links are recorded under its CID. They become rows of the records
with that CID once those are known.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Self

from actor_store.records import CREATE_ODD, has_odd_table
from database.connection import array_of
from repo.cid import Cid
from repo.odd_record import ODD_AUTHORITY

if TYPE_CHECKING:
    from types import TracebackType

    from actor_store.backlinks import Backlink
    from database.connection import Database

_TABLES: Final = """
CREATE TEMP TABLE uncertain_node (cid TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TEMP TABLE odd (cid TEXT PRIMARY KEY, reason TEXT) WITHOUT ROWID;
CREATE TEMP TABLE link (cid TEXT, path TEXT, linkTo TEXT, PRIMARY KEY (cid, path)) WITHOUT ROWID;
CREATE TEMP TABLE reference (cid TEXT, blobCid TEXT, PRIMARY KEY (cid, blobCid)) WITHOUT ROWID;
CREATE TEMP TABLE changed_record (uri TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TEMP TABLE dropped_blob (cid TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TEMP TABLE node (cid TEXT PRIMARY KEY) WITHOUT ROWID;
"""
# A CID's text has 59 characters.
_PUT_BLOCKS: Final = """
INSERT INTO repo_block (cid, repoRev, size, content)
SELECT CAST(substr(value, 1, 59) AS TEXT), ?2, length(value) - 59, substr(value, 60)
FROM carray(?1) WHERE true ON CONFLICT DO NOTHING
"""
_NOTE_NODES: Final = """
INSERT INTO temp.uncertain_node (cid) SELECT value FROM carray(?1) WHERE true ON CONFLICT DO NOTHING
"""
_NOTE_ODD: Final = """
INSERT INTO temp.odd (cid, reason) SELECT substr(value, 1, 59), substr(value, 60)
FROM carray(?1) WHERE true ON CONFLICT DO NOTHING
"""
_NOTE_LINKS: Final = """
INSERT INTO temp.link (cid, path, linkTo) SELECT substr(value, 1, 59), ?2, substr(value, 60)
FROM carray(?1) WHERE true ON CONFLICT DO NOTHING
"""
_NOTE_REFERENCES: Final = """
INSERT INTO temp.reference (cid, blobCid) SELECT substr(value, 1, 59), substr(value, 60)
FROM carray(?1) WHERE true ON CONFLICT DO NOTHING
"""
_PAGE: Final = """
SELECT substr(uri, length(?2) + 1), cid FROM record WHERE uri > ?1 ORDER BY uri LIMIT 1000
"""
_PUT_RECORDS: Final = """
INSERT INTO record (uri, cid, collection, rkey, repoRev, indexedAt)
SELECT ?2 || substr(value, 60), substr(value, 1, 59),
  substr(value, 60, instr(value, '/') - 60), substr(value, instr(value, '/') + 1), ?3, ?4
FROM carray(?1) WHERE true ON CONFLICT (uri) DO UPDATE
SET cid = excluded.cid, repoRev = excluded.repoRev, indexedAt = excluded.indexedAt
"""
_NAMED: Final = "(SELECT ?2 || value FROM carray(?1))"
# INDEXED BY, because SQLite would otherwise choose the index by rev, which all records share.
# Missing blocks are found first, from the two indexes alone: usually there are none.
_NOT_IN_CAR: Final = """
WITH missed AS MATERIALIZED (
  SELECT rowid AS id FROM record INDEXED BY record_cid_idx WHERE NOT EXISTS
    (SELECT 1 FROM repo_block INDEXED BY repo_block_repo_rev_idx
     WHERE repo_block.repoRev = ?1 AND repo_block.cid = record.cid)
)
SELECT cid, substr(uri, length(?2) + 1),
  (SELECT content FROM repo_block WHERE repo_block.cid = record.cid)
FROM missed CROSS JOIN record ON record.rowid = missed.id
WHERE repoRev = ?1 ORDER BY cid
"""
_NODE_RECORD: Final = """
SELECT record.cid, substr(uri, length(?2) + 1) FROM temp.uncertain_node AS node
CROSS JOIN record INDEXED BY record_cid_idx ON record.cid = node.cid
WHERE record.repoRev = ?1 LIMIT 1
"""
_PUT_ODD: Final = """
INSERT OR REPLACE INTO holdfast_odd_record (uri, cid, reason) SELECT record.uri, odd.cid, reason
FROM temp.odd CROSS JOIN record INDEXED BY record_cid_idx ON record.cid = odd.cid
WHERE record.repoRev = ?1
"""
_PUT_ODD_AUTHORITIES: Final = """
INSERT OR REPLACE INTO holdfast_odd_record (uri, cid, reason) SELECT uri, cid, ?2 FROM record
WHERE repoRev = ?1 AND collection GLOB '*[A-Z]*.*'
"""
_DELETE_OLD_ODD: Final = """
DELETE FROM holdfast_odd_record WHERE NOT EXISTS
(SELECT 1 FROM record WHERE record.uri = holdfast_odd_record.uri
 AND record.cid = holdfast_odd_record.cid)
"""
_COUNT_REFERENCES: Final = """
SELECT coalesce(sum(blobs * (SELECT count(*) FROM record WHERE cid = found.cid)), 0)
FROM (SELECT cid, count(*) AS blobs FROM temp.reference GROUP BY cid) AS found
"""
# Driven by the records, which are mostly in URI order, like the rows to be written.
_PUT_BACKLINKS: Final = """
INSERT INTO backlink (uri, path, linkTo) SELECT uri, path, linkTo
FROM record INDEXED BY record_repo_rev_idx CROSS JOIN temp.link ON link.cid = record.cid
WHERE record.repoRev = ?1 ON CONFLICT DO NOTHING
"""
_PUT_REFERENCES: Final = """
INSERT INTO record_blob (blobCid, recordUri) SELECT blobCid, uri
FROM temp.reference CROSS JOIN record INDEXED BY record_cid_idx ON record.cid = reference.cid
WHERE record.repoRev = ?1 ON CONFLICT DO NOTHING
"""
_REFERENCES_OF_CHANGED: Final = (
    "FROM record_blob WHERE recordUri IN (SELECT uri FROM temp.changed_record)"
)
_DELETE_UNUSED_BLOBS: Final = """
DELETE FROM blob WHERE cid IN (SELECT cid FROM temp.dropped_blob)
AND NOT EXISTS (SELECT 1 FROM record_blob WHERE blobCid = cid) RETURNING cid, tempKey
"""
_DELETE_STRAYS: Final = """
DELETE FROM repo_block WHERE cid <> ?1
AND NOT EXISTS (SELECT 1 FROM record WHERE record.cid = repo_block.cid)
AND NOT EXISTS (SELECT 1 FROM temp.node WHERE node.cid = repo_block.cid)
"""
BLOCK_INDEX: Final = "repo_block_repo_rev_idx"
RECORD_INDEX: Final = "record_cid_idx"
BACKLINK_INDEX: Final = "backlink_link_to_idx"
UNORDERED_INDEXES: Final = (BLOCK_INDEX, RECORD_INDEX, BACKLINK_INDEX)
"""Indexes whose keys arrive in random order."""


@dataclass(slots=True)
class BlockBatch:
    """Blocks on their way to the database, and what is known about each."""

    blocks: list[bytes] = field(default_factory=list)
    """Each the CID's text followed by the block."""
    nodes: list[str] = field(default_factory=list)
    """CIDs of blocks that cannot be records because they have the form of tree nodes."""
    odd: list[str] = field(default_factory=list)
    """Each the CID followed by why the block is odd as a record."""
    links: dict[str, list[str]] = field(default_factory=dict)
    """By path in the record: each the CID followed by the link's target."""
    references: list[str] = field(default_factory=list)
    """Each the CID followed by the CID of a blob that the record refers to."""

    def add_link(self, cid: str, link: Backlink) -> None:
        """Add a backlink of the block `cid`."""
        self.links.setdefault(link.path, []).append(cid + link.link_to)


class BulkRows:
    """Bulk writes to one actor's tables, as a `with` block within a transaction.

    Large writes run in a thread of their own while the caller prepares the next one. Every other
    method waits for them first; any other user of the connection must call `wait`.
    """

    def __init__(self, db: Database, did: str) -> None:
        self._db = db
        self._base = f"at://{did}/"
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="bulk-rows")
        self._writing: Future[None] | None = None
        self._postponed: dict[str, str] = {}

    def __enter__(self) -> Self:
        self._db.script(_TABLES)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._thread.shutdown(wait=True)
        if kind is None:
            self.wait()

    def wait(self) -> None:
        """Wait for the write in progress. Raises `DatabaseError` if it failed."""
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def _behind(self, write: Callable[[], None]) -> None:
        self.wait()
        self._writing = self._thread.submit(write)

    def postpone_indexes(self, names: Iterable[str]) -> None:
        """Drop some of `UNORDERED_INDEXES` until `build_index` is called for each.

        For millions of rows in a database that nobody else has open: sorting once takes a tenth of
        the time.
        """
        for name in names:
            sql = self._db.value("SELECT sql FROM sqlite_master WHERE name = ?", (name,))
            self._postponed[name] = str(sql)
            self._db.run(f"DROP INDEX {name}")

    def build_index(self, name: str) -> None:
        """Start building an index if it was postponed."""
        sql = self._postponed.pop(name, None)
        if sql is not None:
            self._behind(lambda: self._db.run(sql))

    def put_blocks(self, batch: BlockBatch, rev: str) -> None:
        """Store blocks and what is known about them; an already stored block keeps its rev."""
        self._behind(lambda: self._put_blocks(batch, rev))

    def _put_blocks(self, batch: BlockBatch, rev: str) -> None:
        if batch.blocks:
            # Sorted like the indexes, so that many rows fall on the same pages.
            batch.blocks.sort()
            self._db.run(_PUT_BLOCKS, (array_of(batch.blocks), rev))
        if batch.nodes:
            self._db.run(_NOTE_NODES, (array_of(batch.nodes),))
        if batch.odd:
            self._db.run(_NOTE_ODD, (array_of(batch.odd),))
        for path, links in batch.links.items():
            self._db.run(_NOTE_LINKS, (array_of(links), path))
        if batch.references:
            self._db.run(_NOTE_REFERENCES, (array_of(batch.references),))

    def iter_records(self) -> Iterator[tuple[str, str]]:
        """Yield key and CID of every record in key order, page by page; reads the first page now.

        Records up to the last one yielded may be written meanwhile.
        """
        return self._iter_pages(self._page(self._base))

    def _iter_pages(self, page: list[tuple[str, str]]) -> Iterator[tuple[str, str]]:
        while page:
            yield from page
            page = self._page(self._base + page[-1][0])

    def _page(self, after: str) -> list[tuple[str, str]]:
        self.wait()
        return self._db.all(_PAGE, (after, self._base))

    def put_records(self, values: Collection[str], *, rev: str, indexed_at: str) -> None:
        """Upsert records, each a CID followed by a key. Takedowns are kept."""
        params = (array_of(values), self._base, rev, indexed_at)
        self._behind(lambda: self._db.run(_PUT_RECORDS, params))

    def remove_records(self, keys: Collection[str]) -> None:
        """Remove records from the index."""
        self._run_named(f"DELETE FROM record WHERE uri IN {_NAMED}", keys)

    def forget_links(self, keys: Collection[str]) -> None:
        """Delete the backlinks of records, and mark their blob references as outdated."""
        self._run_named(f"DELETE FROM backlink WHERE uri IN {_NAMED}", keys)
        self._run_named(f"INSERT INTO temp.changed_record (uri) SELECT * FROM {_NAMED}", keys)

    def iter_not_in_car(self, rev: str) -> Iterator[tuple[str, str, bytes | None]]:
        """Yield CID, key and block of records written at `rev` whose block was not stored at `rev`.

        Ordered by CID. The block is None if it is missing.
        """
        self.wait()
        return self._db.iter(_NOT_IN_CAR, (rev, self._base))

    def find_node_record(self, rev: str) -> tuple[str, str] | None:
        """Return CID and key of a record written at `rev` that has the form of a tree node."""
        self.wait()
        return self._db.one(_NODE_RECORD, (rev, self._base))

    def settle_odd(self, rev: str, *, odd_authorities: bool) -> None:
        """Record which records written at `rev` are odd, and remove the rows of deleted ones.

        `odd_authorities` says whether any are odd by their keys.
        """
        self.wait()
        db = self._db
        if odd_authorities or db.one("SELECT 1 FROM temp.odd LIMIT 1") is not None:
            db.run(CREATE_ODD)
            if odd_authorities:
                db.run(_PUT_ODD_AUTHORITIES, (rev, ODD_AUTHORITY))
            db.run(_PUT_ODD, (rev,))
        if has_odd_table(db):
            db.run(_DELETE_OLD_ODD)

    def count_references(self) -> int:
        """Count the records' references to blobs, for the blocks recorded in this import."""
        self.wait()
        return int(self._db.value(_COUNT_REFERENCES))

    def settle_links(self, rev: str) -> list[tuple[str, str | None]]:
        """Replace the backlinks and blob references of the records written at `rev`.

        Deletes the rows of blobs that no record refers to any more, and returns their CIDs and
        temporary keys.
        """
        self.wait()
        db = self._db
        # One pass for all records: the table has no index by record.
        db.run(f"INSERT INTO temp.dropped_blob SELECT DISTINCT blobCid {_REFERENCES_OF_CHANGED}")
        db.run(f"DELETE {_REFERENCES_OF_CHANGED}")
        db.run(_PUT_BACKLINKS, (rev,))
        db.run(_PUT_REFERENCES, (rev,))
        return db.all(_DELETE_UNUSED_BLOBS)

    def count_blocks(self) -> int:
        """Return the number of stored blocks."""
        self.wait()
        return int(self._db.value("SELECT count(*) FROM repo_block"))

    def count_record_blocks(self) -> int:
        """Return the number of distinct record blocks; equal records share one."""
        self.wait()
        return int(self._db.value("SELECT count(DISTINCT cid) FROM record"))

    def delete_strays(self, head: Cid, nodes: Iterable[Cid]) -> None:
        """Delete every block except the commit `head`, the tree's `nodes` and the records."""
        self.wait()
        self._db.many("INSERT INTO temp.node (cid) VALUES (?)", ((str(cid),) for cid in nodes))
        self._db.run(_DELETE_STRAYS, (str(head),))

    def _run_named(self, sql: str, keys: Collection[str]) -> None:
        if keys:
            self.wait()
            self._db.run(sql, (array_of(keys), self._base))
