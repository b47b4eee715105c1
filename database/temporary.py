"""Temporary databases, for working data that may not fit in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import apsw

from database.connection import Database

_NAME: Final = Path("(temporary database)")
_IN_MEMORY: Final = Path("(database in memory)")
_CACHE_KIB: Final = 8_000


def open_scratch() -> Database:
    """Open a private, empty database: in memory while small, then in an unnamed temporary file.

    It disappears when closed. A failed write may leave it damaged.
    """
    # SQLite creates the file in SQLITE_TMPDIR, TMPDIR, /var/tmp or /tmp.
    db = Database(apsw.Connection(""), _NAME)
    db.script(
        f"PRAGMA cache_size = -{_CACHE_KIB}; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;"
    )
    return db


def open_in_memory() -> Database:
    """Open a private, empty database that never touches the disk."""
    return Database(apsw.Connection(":memory:"), _IN_MEMORY)
