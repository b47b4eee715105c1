"""Making and removing the directory of an actor, so that a crash leaves all of it or nothing."""

from __future__ import annotations

import errno
import secrets
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

from actor_store.errors import RepoExists
from actor_store.keys import sync_directory, write_key
from actor_store.layout import ActorLayout
from actor_store.schema import migrate_store
from database.connection import Database, open_database
from repo.keys import PrivateKey

T = TypeVar("T")

_NEW: Final = ".new"
_OLD: Final = ".old"


def create_directory(
    layout: ActorLayout, did: str, key: PrivateKey, fill: Callable[[Database], T]
) -> T:
    """Make the key file and the database, filled by `fill` in one transaction. Return its result.

    All of it is made under another name, on disk before it is given its own. Waits for the
    disk: to be called in a thread. Raises `RepoExists`, and what `fill` raises.
    """
    directory = layout.directory(did)
    if layout.store(did).exists():
        raise RepoExists(did)
    directory.parent.mkdir(parents=True, exist_ok=True)
    staging = directory.with_name(f".{secrets.token_hex(8)}{_NEW}")
    staging.mkdir()
    try:
        write_key(staging / layout.key(did).name, key)
        result = _create_database(staging / layout.store(did).name, fill)
        sync_directory(staging)
        _rename(staging, directory, did)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise
    sync_directory(directory.parent)
    return result


def remove_directory(layout: ActorLayout, did: str) -> None:
    """Delete everything in the directory of an actor; an absent one is ignored.

    The directory above, shared with others, stays. To be called in a thread.
    """
    directory = layout.directory(did)
    doomed = directory.with_name(f".{secrets.token_hex(8)}{_OLD}")
    try:
        # At once out of reach: half a store must not be taken for an actor.
        directory.rename(doomed)
    except FileNotFoundError:
        return
    shutil.rmtree(doomed)


def remove_leftovers(layout: ActorLayout) -> None:
    """Delete what a crash has left of actors half made or half deleted.

    Only while nobody makes or deletes any: at start.
    """
    for path in layout.iter_hidden():
        if path.suffix in (_NEW, _OLD):
            shutil.rmtree(path)


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


def _rename(staging: Path, directory: Path, did: str) -> None:
    try:
        staging.rename(directory)
    except OSError as exc:
        if exc.errno in (errno.ENOTEMPTY, errno.EEXIST):
            raise RepoExists(did) from exc
        raise
