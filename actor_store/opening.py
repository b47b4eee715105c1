"""Opening an actor's database: for the event loop, or for a thread that reads or writes."""

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
from database.connection import Database, WriteCounts
from database.durability import EVENTUAL, Durability
from database.errors import (
    OUT_OF_FILES,
    DatabaseDamaged,
    DatabaseForbidden,
    DatabaseFull,
    DatabaseMissing,
    DatabaseOutOfFiles,
)
from database.opening import BUSY_TIMEOUT_MS, RoomlessDatabase, open_database, open_without_room
from database.wal import check_wal

THREAD_PAGE_CACHE_KIB: Final = 2_000
STREAM_PAGE_CACHE_KIB: Final = 256
"""Small, because there may be many streams, and an export reads every block once."""


@dataclass(slots=True, frozen=True)
class StoreSettings:
    """How actors' databases are opened, and how much memory they may take."""

    max_open: int = DEFAULT_MAX_OPEN
    """Databases kept open; the limit of open files, or the memory, may allow fewer."""
    processes: int = 1
    """How many processes share the memory, each with its own open databases."""
    page_cache_kib: int = 1_024
    """Page cache limit per open database; a commit to a repo of 10,000 records uses this much."""
    node_cache_bytes: int = NODE_CACHE_BYTES
    """MST nodes of all actors together."""
    durability: Durability = EVENTUAL
    """Told of every commit."""
    wal_autocheckpoint: int | None = PAGES
    """WAL length, in pages, that triggers a checkpoint; None leaves checkpoints to Litestream."""


class StoreOpener:
    """Opens connections to actors' databases.

    Raises `RepoNotFound`, `ActorStoreDamaged`, and `DatabaseError`s; the caller has to translate
    `DatabaseDamaged`, which does not name the actor.
    """

    def __init__(
        self,
        layout: ActorLayout,
        settings: StoreSettings,
        *,
        is_open: Callable[[str], bool],
        counts: WriteCounts,
    ) -> None:
        """`is_open` says whether the event loop already has a DID's database open."""
        self._layout = layout
        self._settings = settings
        self._is_open = is_open
        self._counts = counts
        self.checkpointer = Checkpointer(pages=settings.wal_autocheckpoint or PAGES)
        self.quarantined: dict[str, str] = {}
        """Quarantined actors, whose files are left alone: the reason by DID."""
        self._roomless: Counter[str] = Counter()
        """Connections opened on a full disk, counted by DID; while any is open, none can write."""
        self._counting = Lock()

    def for_loop(self, did: str) -> Database:
        """Open a connection that never waits for a lock; on a full disk, a `RoomlessDatabase`."""
        cache_kib = self._settings.page_cache_kib
        try:
            db = self._open(
                did,
                cache_kib=cache_kib,
                busy_timeout_ms=0,
                secure_delete=True,
                durability=self._settings.durability,
            )
        except DatabaseFull:
            return self._open_without_room(did, cache_kib)
        if self._roomless[did]:
            db.close()
            return self._open_without_room(did, cache_kib)
        if self._settings.wal_autocheckpoint is not None:
            self.checkpointer.watch(db)
        return db

    def for_reading(self, did: str, *, cache_kib: int = THREAD_PAGE_CACHE_KIB) -> Database:
        """Open a read-only connection for a thread; works on a full disk, too."""
        try:
            return self._open(did, cache_kib=cache_kib, read_only=True)
        except DatabaseFull:
            return self._open_without_room(did, cache_kib)

    def for_work(self, did: str, *, cache_kib: int) -> Database:
        """Open a connection for one long transaction in a thread; call `empty_wal` after it.

        Its commit is not noted: whoever makes it calls `Durability.sync_now`.
        """
        # A checkpoint within its COMMIT would block the event loop.
        db = self._open(did, cache_kib=cache_kib, own_checkpoints=False)
        if self._roomless[did]:
            db.close()
            raise DatabaseFull(db.path, "the disk had no room, and is still read from")
        self._checkpoint(db)
        return db

    def empty_wal(self, db: Database) -> None:
        """Truncate a WAL that has grown in a long transaction."""
        self._checkpoint(db)
        if self._settings.wal_autocheckpoint is not None:
            # Blocks writers, but nearly all of the work has been done by now.
            db.checkpoint()

    def close(self) -> None:
        """Finish the requested checkpoints."""
        self.checkpointer.close()

    def _checkpoint(self, db: Database) -> None:
        if self._settings.wal_autocheckpoint is not None:
            self.checkpointer.finish(db.connection, db.path)

    def _open_without_room(self, did: str, cache_kib: int) -> RoomlessDatabase:
        # Counted before opening, so that a concurrent opener notices it afterwards.
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
        durability: Durability = EVENTUAL,
    ) -> Database:
        path = self._layout.store(did)
        if did in self.quarantined:
            raise ActorStoreDamaged(did, self.quarantined[did])
        if not self._is_open(did):
            _check_files(path)
        try:
            db = open_database(
                path,
                create=False,
                cache_kib=cache_kib,
                wal_autocheckpoint=self._settings.wal_autocheckpoint if own_checkpoints else None,
                read_only=read_only,
                busy_timeout_ms=busy_timeout_ms,
                secure_delete=secure_delete,
                counts=self._counts,
                durability=durability,
            )
        except DatabaseMissing as exc:
            if path.exists():
                raise
            raise RepoNotFound(did) from exc
        with db.closed_on_error():
            migrate_store(db)
        return db


def _check_files(path: Path) -> None:
    """Raise `DatabaseDamaged` for files that SQLite would treat as an empty database or WAL."""
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
