"""Creating and removing an actor's directory, so that a crash leaves all of it or nothing.

An actor exists if its directory has a file `store.sqlite`. The file gets that name once everything
else is on disk, and loses it before anything is deleted. Directories are never renamed: programs
that watch them, such as Litestream, would lose track.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

from actor_store.errors import RepoExists
from actor_store.keys import write_key
from actor_store.layout import ActorLayout
from actor_store.schema import migrate_store
from database.connection import Database
from database.files import sync
from database.opening import open_database
from database.wal import files_of
from repo.keys import PrivateKey

T = TypeVar("T")

_NEW: Final = ".new"
_OLD: Final = ".old"
_CHANGED_MEANWHILE: Final = frozenset({errno.ENOENT, errno.ENOTEMPTY})
_TRIES: Final = 5
"""How often a directory is deleted in which files appear meanwhile."""


def create_directory(
    layout: ActorLayout, did: str, key: PrivateKey, fill: Callable[[Database], T]
) -> T:
    """Create the key file and the database, filled by `fill` in one transaction.

    Returns the result of `fill`. Waits for the disk, so call it in a thread. Raises `RepoExists`,
    and what `fill` raises.
    """
    directory, store = layout.directory(did), layout.store(did)
    directory.parent.mkdir(parents=True, exist_ok=True)
    try:
        directory.mkdir()
    except FileExistsError as exc:
        raise RepoExists(did) from exc
    try:
        # Created first, to distinguish the leftovers of a crash from a lost store.
        unfinished = store.with_name(store.name + _NEW)
        result = _create_database(unfinished, fill)
        write_key(layout.key(did), key)
        unfinished.rename(store)
        sync(directory)
    except BaseException:
        shutil.rmtree(directory, ignore_errors=True)
        raise
    # The directory of all that share the two digits may be new as well.
    sync(directory.parent)
    sync(directory.parent.parent)
    return result


def adopt_database(layout: ActorLayout, did: str, database: Path) -> None:
    """Move a complete database, closed and without a WAL, to the path of an actor's store.

    Both must be on the same file system. A process that has the old database open keeps reading
    it. Call it in a thread. Raises `OSError`.
    """
    directory, store = layout.directory(did), layout.store(did)
    directory.mkdir(parents=True, exist_ok=True)
    # A WAL of the database before must not be taken for one of the new.
    for beside in files_of(store)[1:]:
        beside.unlink(missing_ok=True)
    database.rename(store)
    sync(directory)


def remove_directory(layout: ActorLayout, did: str) -> None:
    """Delete an actor's directory; a missing one is ignored. Raises `OSError`.

    The parent directory, shared with other actors, stays. Call it in a thread.
    """
    directory, store = layout.directory(did), layout.store(did)
    with suppress(FileNotFoundError):
        store.rename(store.with_name(store.name + _OLD))
    # Litestream may make and remove files of its own there until it notices.
    for _ in range(_TRIES):
        try:
            shutil.rmtree(directory)
            sync(directory.parent)
        except OSError as exc:
            if exc.errno not in _CHANGED_MEANWHILE:
                raise
        if not directory.exists():
            return
    raise OSError(errno.ENOTEMPTY, "files appear in it all the time", str(directory))


def remove_leftovers(layout: ActorLayout) -> None:
    """Delete what a crash left of half created or half deleted actors.

    Call it only at start, while no actor is being created or deleted. A directory that merely lost
    its database is left alone, because its signing key may be the last copy; so is one that this
    process may not read.
    """
    for did, store in layout.iter_directories():
        with suppress(PermissionError):
            if not os.path.exists(store) and _is_leftover(layout, did):  # noqa: PTH110 (many)
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
        # Nobody else has it open, so closing checkpoints the WAL and syncs the database.
        db.close()
    return result


def _is_empty(directory: Path) -> bool:
    return next(directory.iterdir(), None) is None
