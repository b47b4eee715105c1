"""Opening the database of an actor: for the event loop, for a thread that reads or that works."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Final

from actor_store.blocks import NODE_CACHE_BYTES
from actor_store.errors import ActorStoreDamaged, RepoNotFound
from actor_store.layout import ActorLayout
from actor_store.open_stores import DEFAULT_MAX_OPEN
from actor_store.schema import migrate_store
from database.checkpoints import PAGES, Checkpointer
from database.connection import (
    BUSY_TIMEOUT_MS,
    Database,
    RoomlessDatabase,
    Synchronous,
    WriteCounts,
    open_database,
    open_without_room,
)
from database.errors import (
    OUT_OF_FILES,
    DatabaseDamaged,
    DatabaseForbidden,
    DatabaseFull,
    DatabaseMissing,
    DatabaseOutOfFiles,
)
from database.wal import check_wal

THREAD_PAGE_CACHE_KIB: Final = 2_000
STREAM_PAGE_CACHE_KIB: Final = 256
"""There may be many streams, and an export reads every block once."""


@dataclass(slots=True, frozen=True)
class StoreSettings:
    """How the databases of actors are opened, and how much memory they may take."""

    max_open: int = DEFAULT_MAX_OPEN
    """Databases kept open; the limit of open files may allow fewer."""
    page_cache_kib: int = 1_024
    """Most page cache of one open database; a commit to a repo of 10,000 records uses this much."""
    node_cache_bytes: int = NODE_CACHE_BYTES
    """MST nodes of all actors together."""
    synchronous: Synchronous = "NORMAL"
    wal_autocheckpoint: int | None = PAGES
    """Length of a WAL, in pages, that starts a checkpoint; None leaves them to Litestream."""


class StoreOpener:
    """Connections to actors' databases. Raises `RepoNotFound`, `ActorStoreDamaged`, and
    `DatabaseError`s, of which `DatabaseDamaged` is still to be named by its actor.
    """

    def __init__(
        self,
        layout: ActorLayout,
        settings: StoreSettings,
        *,
        is_open: Callable[[str], bool],
        counts: WriteCounts,
    ) -> None:
        """`is_open` tells whether the event loop has the database of a DID open already."""
        self._layout = layout
        self._settings = settings
        self._is_open = is_open
        self._counts = counts
        self.checkpointer = Checkpointer(pages=settings.wal_autocheckpoint or PAGES)
        self.held_back: dict[str, str] = {}
        """Actors whose files are left alone, by DID, and why."""
        self._roomless: Counter[str] = Counter()
        """Connections that were opened without room, by DID: nobody can write beside them."""
        self._counting = Lock()

    def for_loop(self, did: str) -> Database:
        """A connection that never waits for a lock; a `RoomlessDatabase` if the disk is full."""
        cache_kib = self._settings.page_cache_kib
        try:
            db = self._open(did, cache_kib=cache_kib, busy_timeout_ms=0, secure_delete=True)
        except DatabaseFull:
            return self._open_without_room(did, cache_kib)
        if self._roomless[did]:
            db.close()
            return self._open_without_room(did, cache_kib)
        if self._settings.wal_autocheckpoint is not None:
            self.checkpointer.watch(db)
        return db

    def for_reading(self, did: str, *, cache_kib: int = THREAD_PAGE_CACHE_KIB) -> Database:
        """A read-only connection for a thread, also on a full disk."""
        try:
            return self._open(did, cache_kib=cache_kib, read_only=True)
        except DatabaseFull:
            return self._open_without_room(did, cache_kib)

    def for_work(self, did: str, *, cache_kib: int) -> Database:
        """A connection for one long transaction in a thread; to be followed by `empty_wal`."""
        # A checkpoint within its COMMIT would hold up the event loop.
        db = self._open(did, cache_kib=cache_kib, own_checkpoints=False)
        if self._roomless[did]:
            db.close()
            raise DatabaseFull(db.path, "the disk had no room, and is still read from")
        self._checkpoint(db)
        return db

    def empty_wal(self, db: Database) -> None:
        """Give back the room of a WAL that a long transaction has made long."""
        self._checkpoint(db)
        if self._settings.wal_autocheckpoint is not None:
            # Nobody can write meanwhile, but nearly all has been done by now.
            db.checkpoint()

    def close(self) -> None:
        """Finish the checkpoints that have been asked for."""
        self.checkpointer.close()

    def _checkpoint(self, db: Database) -> None:
        if self._settings.wal_autocheckpoint is not None:
            self.checkpointer.finish(db.connection, db.path)

    def _open_without_room(self, did: str, cache_kib: int) -> RoomlessDatabase:
        # Counted before it is opened: who opens it otherwise meanwhile finds out afterwards.
        self._count_roomless(did, 1)
        try:
            db = open_without_room(self._layout.store(did), cache_kib=cache_kib)
        except BaseException:
            self._count_roomless(did, -1)
            raise
        db.call_on_close(lambda: self._count_roomless(did, -1))
        return db

    def _count_roomless(self, did: str, more: int) -> None:
        with self._counting:
            self._roomless[did] += more
            if not self._roomless[did]:
                del self._roomless[did]

    def _open(
        self,
        did: str,
        *,
        cache_kib: int,
        busy_timeout_ms: int = BUSY_TIMEOUT_MS,
        read_only: bool = False,
        own_checkpoints: bool = True,
        secure_delete: bool = False,
    ) -> Database:
        path = self._layout.store(did)
        if did in self.held_back:
            raise ActorStoreDamaged(did, self.held_back[did])
        if not self._is_open(did):
            _check_files(path)
        try:
            db = open_database(
                path,
                create=False,
                cache_kib=cache_kib,
                synchronous=self._settings.synchronous,
                wal_autocheckpoint=self._settings.wal_autocheckpoint if own_checkpoints else None,
                read_only=read_only,
                busy_timeout_ms=busy_timeout_ms,
                secure_delete=secure_delete,
                counts=self._counts,
            )
        except DatabaseMissing as exc:
            if path.exists():
                raise
            raise RepoNotFound(did) from exc
        with db.closed_on_error():
            migrate_store(db)
        return db


def _check_files(path: Path) -> None:
    """Raise `DatabaseDamaged` for what SQLite would take for an empty database or WAL."""
    try:
        with suppress(FileNotFoundError):
            if path.stat().st_size == 0:
                raise DatabaseDamaged(path, "is empty")
        check_wal(path)
    except PermissionError as exc:
        raise DatabaseForbidden(path, str(exc)) from exc
    except OSError as exc:
        if exc.errno in OUT_OF_FILES:
            raise DatabaseOutOfFiles(path, str(exc)) from exc
        raise
