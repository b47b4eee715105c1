"""The cache of DID documents: memory in front of `did_cache.sqlite`.

The file is expendable: a damaged one is replaced, and a failing disk costs speed but never an
answer.

Anyone can make the server fetch documents, so the file is bounded: the oldest rows are evicted,
except those used since they were stored. A row gets a new rowid whenever its document is fetched,
so the table is ordered by time of storing and needs no index.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson
import structlog
from cachetools import LRUCache

from database.connection import Database
from database.errors import (
    DatabaseDamaged,
    DatabaseError,
    DatabaseFull,
    SchemaGap,
    SchemaTooNew,
)
from database.migrations import Migration, migrate
from database.opening import open_database
from database.retry import when_free
from database.temporary import open_in_memory
from database.wal import files_of
from identity.did_document import DidDocument, InvalidDidDocument
from repo.syntax import Did

MIGRATIONS: Final = (Migration("001", Path(__file__).with_name("schema.sql").read_text()),)
_MEMORY_BYTES: Final = 8 * 1024 * 1024
"""Total JSON size of the documents kept parsed, some 8,000. Parsed, they take a few times that."""

_FILE_BYTES: Final = 32 * 1024 * 1024
"""Limit for the pages in use, enough for some 16,000 typical documents."""
_EVICTED_AT_ONCE: Final = 8
"""Rows examined per eviction step; a row has up to 128 KiB."""
_EVICTION_STEPS: Final = 16
"""Eviction steps per stored document: more than needed, so that an oversized file shrinks, too."""
_SPARING_STEPS: Final = 4
"""The first of these steps, in which used documents are spared; more would take too long."""
_SPARED_BYTES: Final = 8 * 1024
"""Larger documents are not spared: moving them within the file takes too long."""
_MAX_USED: Final = 100_000
"""More DIDs than fit in the file."""

_OLDEST: Final = "SELECT rowid, did, octet_length(doc) FROM did_doc ORDER BY rowid LIMIT ?"
_UPDATED_AT: Final = "SELECT updatedAt FROM did_doc WHERE did = ?"
_SPARE: Final = "UPDATE did_doc SET rowid = (SELECT max(rowid) + 1 FROM did_doc) WHERE rowid = ?"

_log = structlog.get_logger(__name__)


@dataclass(slots=True, frozen=True)
class CachedDocument:
    """A document, and when it was fetched (milliseconds since the Unix epoch)."""

    document: DidDocument
    updated_at_ms: int
    size_bytes: int
    """The length of its JSON."""


class DidCache:
    """Documents by DID. Repeated reads return the same object."""

    def __init__(
        self,
        db: Database,
        *,
        memory_bytes: int = _MEMORY_BYTES,
        file_bytes: int = _FILE_BYTES,
        is_in_file: bool = True,
        is_shared: bool = False,
    ) -> None:
        """Store up to `file_bytes` in `db`; keep the last used `memory_bytes` parsed in memory.

        With `is_shared`, other processes change the file.
        """
        self._db = db
        self.is_in_file = is_in_file
        self._is_shared = is_shared and is_in_file
        self._memory: LRUCache[Did, CachedDocument] = LRUCache(memory_bytes, _size_bytes)
        self._max_pages = file_bytes // int(db.value("PRAGMA page_size"))
        self._used: set[Did] = set()
        """DIDs used since they were stored or last spared."""

    @classmethod
    def open(
        cls, path: Path, *, wal_autocheckpoint: int | None = 1_000, is_shared: bool = False
    ) -> DidCache:
        """Open or create the file at `path`, replacing a damaged one.

        On a full disk, the documents of this run are kept only in memory.
        """
        try:
            return cls(_open(path, wal_autocheckpoint), is_shared=is_shared)
        except (DatabaseDamaged, SchemaTooNew, SchemaGap) as exc:
            _log.warning("replacing the DID cache", error=str(exc))
            for file in files_of(path):
                file.unlink(missing_ok=True)
            return cls(_open(path, wal_autocheckpoint), is_shared=is_shared)
        except DatabaseFull as exc:
            _log.warning("the DID cache is in memory until the next start", error=str(exc))
            db = open_in_memory()
            migrate(db, MIGRATIONS)
            return cls(db, is_in_file=False)

    def find(self, did: Did) -> CachedDocument | None:
        """Return the document last stored for `did`, however old."""
        found = self._memory.get(did)
        if found is None or (self._is_shared and not self._is_stored(found)):
            found = self._load(did)
            if found is not None:
                self._remember(found)
        if found is not None:
            self._used.add(did)
        return found

    async def put(self, document: DidDocument, *, updated_at_ms: int) -> None:
        """Store `document` as fetched at `updated_at_ms`. Waits while the file is busy."""
        text = orjson.dumps(document.raw).decode()
        self._remember(CachedDocument(document, updated_at_ms, len(text)))

        def write() -> None:
            self._db.run(
                "INSERT OR REPLACE INTO did_doc (did, doc, updatedAt) VALUES (?, ?, ?)",
                (document.did, text, updated_at_ms),
            )
            self._make_room()

        await self._write(write)

    async def delete(self, did: Did) -> None:
        """Delete the document of `did`. Waits while the file is busy."""
        self._memory.pop(did, None)
        self._used.discard(did)
        await self._write(lambda: self._db.run("DELETE FROM did_doc WHERE did = ?", (did,)))

    def check_health(self) -> None:
        """Raise `DatabaseError` if the file cannot be read."""
        self._db.value("SELECT 1 FROM did_doc LIMIT 1")

    def close(self) -> None:
        """Close the file. Closing twice is harmless."""
        self._db.close()

    def _remember(self, found: CachedDocument) -> None:
        if found.size_bytes <= self._memory.maxsize:
            self._memory[found.document.did] = found
        else:
            # Too large to keep, but an older, smaller version must not stay.
            self._memory.pop(found.document.did, None)

    def _make_room(self) -> None:
        """Evict the oldest rows while the file uses more pages than allowed."""
        if len(self._used) > _MAX_USED:
            self._used.clear()
        for step in range(_EVICTION_STEPS):
            if self._pages_in_use() <= self._max_pages:
                return
            with self._db.transaction():
                for rowid, did, size_bytes in self._db.all(_OLDEST, (_EVICTED_AT_ONCE,)):
                    spared = did in self._used and size_bytes <= _SPARED_BYTES
                    self._used.discard(did)
                    if spared and step < _SPARING_STEPS:
                        self._db.run(_SPARE, (rowid,))
                    else:
                        self._db.run("DELETE FROM did_doc WHERE rowid = ?", (rowid,))

    def _pages_in_use(self) -> int:
        pages, free = self._db.value("PRAGMA page_count"), self._db.value("PRAGMA freelist_count")
        return int(pages) - int(free)

    def _is_stored(self, found: CachedDocument) -> bool:
        """Whether no other process has stored a newer document, or deleted this one."""
        try:
            at_ms = self._db.value(_UPDATED_AT, (found.document.did,))
        except DatabaseError:
            return True
        return bool(at_ms == found.updated_at_ms)

    def _load(self, did: Did) -> CachedDocument | None:
        try:
            row = self._db.one("SELECT doc, updatedAt FROM did_doc WHERE did = ?", (did,))
            if row is None:
                return None
            text, updated_at_ms = row
            document = DidDocument.parse(orjson.loads(text), did)
            return CachedDocument(document, updated_at_ms, len(text))
        except (DatabaseError, InvalidDidDocument, orjson.JSONDecodeError) as exc:
            _log.warning("cannot read from the DID cache", did=did, error=str(exc))
            return None

    async def _write(self, write: Callable[[], None]) -> None:
        try:
            await when_free(write)
        except DatabaseError as exc:
            _log.warning("cannot write to the DID cache", error=str(exc))


def _size_bytes(cached: CachedDocument) -> int:
    return cached.size_bytes


def _open(path: Path, wal_autocheckpoint: int | None) -> Database:
    # Used on the event loop, so do not wait for a busy file.
    db = open_database(path, wal_autocheckpoint=wal_autocheckpoint, busy_timeout_ms=0)
    with db.closed_on_error():
        migrate(db, MIGRATIONS)
    return db
