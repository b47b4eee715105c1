"""Databases for what does not fit in memory and is of no use once the work is done."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import apsw

from database.connection import Database

_NAME: Final = Path("(temporary database)")
_IN_MEMORY: Final = Path("(database in memory)")
_CACHE_KIB: Final = 8_000


def open_scratch() -> Database:
    """A private, empty database: in memory while small, then in an unnamed temporary file.

    It is gone when it is closed, and a write that fails may leave it damaged.
    """
    # SQLite makes the file in SQLITE_TMPDIR, TMPDIR, /var/tmp or /tmp.
    db = Database(apsw.Connection(""), _NAME)
    db.script(
        f"PRAGMA cache_size = -{_CACHE_KIB}; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
    )
    return db


def open_in_memory() -> Database:
    """A private, empty database that never touches a disk."""
    return Database(apsw.Connection(":memory:"), _IN_MEMORY)
