"""Making and removing the directory of an actor, so that a crash leaves all of it or nothing.

There is an actor where there is a file `store.sqlite`. It gets that name when everything beside
it is on disk, and loses it before anything is deleted. Directories are never renamed: programs
that watch them, Litestream among them, would lose their way.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from actor_store.errors import RepoExists
from actor_store.keys import write_key
from actor_store.layout import ActorLayout
from actor_store.schema import migrate_store
from database.connection import Database, open_database
from database.files import sync
from database.wal import files_of
from repo.keys import PrivateKey

T = TypeVar("T")

_NEW: Final = ".new"
_OLD: Final = ".old"


def create_directory(
    layout: ActorLayout, did: str, key: PrivateKey, fill: Callable[[Database], T]
) -> T:
    """Make the key file and the database, filled by `fill` in one transaction. Return its result.

    Waits for the disk: to be called in a thread. Raises `RepoExists`, and what `fill` raises.
    """
    directory, store = layout.directory(did), layout.store(did)
    directory.parent.mkdir(parents=True, exist_ok=True)
    try:
        directory.mkdir()
    except FileExistsError as exc:
        raise RepoExists(did) from exc
    try:
        # First of all, so that what a crash leaves can be told from a store that was lost.
        unfinished = store.with_name(store.name + _NEW)
        result = _create_database(unfinished, fill)
        write_key(layout.key(did), key)
        unfinished.rename(store)
        sync(directory)
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    sync(directory.parent)
    return result


def adopt_database(layout: ActorLayout, did: str, database: Path) -> None:
    """Move a complete database, closed and without a WAL, to where that of an actor belongs.

    Its directory is on the same file system. Whoever has the one before open goes on reading it.
    To be called in a thread. Raises `OSError`.
    """
    directory, store = layout.directory(did), layout.store(did)
    directory.mkdir(parents=True, exist_ok=True)
    # A WAL of the database before must not be taken for one of the new.
    for beside in files_of(store)[1:]:
        beside.unlink(missing_ok=True)
    database.rename(store)
    sync(directory)


def remove_directory(layout: ActorLayout, did: str) -> None:
    """Delete everything in the directory of an actor; an absent one is ignored.

    The directory above, shared with others, stays. To be called in a thread.
    """
    directory, store = layout.directory(did), layout.store(did)
    with suppress(FileNotFoundError):
        store.rename(store.with_name(store.name + _OLD))
    with suppress(FileNotFoundError):
        shutil.rmtree(directory)


def remove_leftovers(layout: ActorLayout) -> None:
    """Delete what a crash has left of actors half made or half deleted.

    Only while nobody makes or deletes any: at start. A directory that has merely lost its
    database is left alone: its signing key may be the last copy. So is one that this process may
    not look into.
    """
    for did in layout.iter_directories():
        with suppress(PermissionError):
            if _is_leftover(layout, did):
                shutil.rmtree(layout.directory(did))


def _is_leftover(layout: ActorLayout, did: str) -> bool:
    store = layout.store(did)
    if store.exists():
        return False
    marks = [store.with_name(store.name + suffix) for suffix in (_NEW, _OLD)]
    return any(mark.exists() for mark in marks) or _is_empty(layout.directory(did))


def _create_database(path: Path, fill: Callable[[Database], T]) -> T:
    db = open_database(path)
    try:
        migrate_store(db)
        with db.transaction():
            result = fill(db)
    finally:
        # Nobody else has it open, so this writes the WAL into the database and syncs it.
        db.close()
    return result


def _is_empty(directory: Path) -> bool:
    return next(directory.iterdir(), None) is None
