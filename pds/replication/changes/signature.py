"""What tells whether an actor's database has changed, without opening it: its files' times.

Every change is written to the WAL first, so that alone is looked at while there is one. Its frames
reach the database later, by a checkpoint that changes nothing but the database's time. Without a
WAL, the database is looked at.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Final

UNCERTAIN_S: Final = 0.02
"""File times advance with the kernel's clock tick, 10 ms at most. A file written within the last
tick may be written again and look the same."""
_BITS: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class FilesSeen:
    """The files of a database at one moment."""

    signature: int
    """Another one means that the contents may have changed; 63 bits."""
    inode: int
    """Another one means that another file has taken the place of the database."""
    changed_ms: int
    """When the contents last changed, by the clock of the file system."""
    bytes: int
    """Length of the database and its WAL."""
    is_certain: bool
    """Whether every later change changes the signature. False just after a change."""


def look_at(store: str) -> FilesSeen | None:
    """Look at a database; None if there is none. Raises `OSError`s such as `PermissionError`."""
    try:
        main = os.stat(store)  # noqa: PTH116 (a sweep does this for every actor)
    except FileNotFoundError:
        return None
    try:
        wal = os.stat(f"{store}-wal")  # noqa: PTH116
        wal_bytes, changed_ns = wal.st_size, wal.st_mtime_ns
    except FileNotFoundError:
        wal_bytes = changed_ns = 0
    if not wal_bytes:
        changed_ns = main.st_mtime_ns
    written = wal_bytes * 2 + 1 if wal_bytes else main.st_size * 2
    signature = (changed_ns * 1_000_003 + written * 31 + main.st_ino * 8_191) & _BITS
    certain = abs(time.time_ns() - changed_ns) > UNCERTAIN_S * 1e9
    total = main.st_size + wal_bytes
    return FilesSeen(signature, main.st_ino, changed_ns // 1_000_000, total, certain)
