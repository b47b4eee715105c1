"""Other processes that have a database open, found by SQLite's locks.

Every connection in WAL mode holds a shared lock on one byte of the -shm file, and another on one
of five more bytes during a read transaction (https://sqlite.org/walformat.html#wal_locks).
/proc/locks lists the locks of visible processes. For an invisible one, such as one in another
container, the system reveals only that it exists.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

UNSEEN: Final = 0
"""Stands for the pid of an invisible process."""

_OPEN: Final = range(128, 129)
"""The byte locked by every open connection: UNIX_SHM_DMS."""
_READS: Final = range(123, 128)
"""The bytes locked by read transactions: WAL_READ_LOCK."""
_FLOCK: Final = "hhqqi"
"""Linux's struct flock: l_type, l_whence, l_start, l_len, l_pid."""
_LOCKS: Final = Path("/proc/locks")


@dataclass(slots=True, frozen=True)
class Holder:
    """A process that has a database open."""

    pid: int
    """`UNSEEN` for an invisible process."""
    is_reading: bool
    """Whether it is in a read transaction."""


def is_open(database: Path) -> bool:
    """Whether another process, of any program, has `database` open in WAL mode.

    Not for a process that has the database open itself: SQLite would lose its locks.
    """
    with _index(database) as descriptor:
        return descriptor is not None and _find_one(descriptor, _OPEN) is not None


def find_holders(database: Path) -> tuple[Holder, ...]:
    """Return the processes for which `is_open` is true. Reads the locks of the whole machine."""
    with _index(database) as descriptor:
        if descriptor is None or (asked := _find_one(descriptor, _OPEN)) is None:
            return ()
        reader = _find_one(descriptor, _READS)
        locks = tuple(_visible_locks("POSIX", os.fstat(descriptor).st_ino))
    reading = {lock.pid for lock in locks if lock.covers_any(_READS)} | {reader}
    pids = {lock.pid for lock in locks if lock.covers_any(_OPEN)} | {asked}
    return tuple(Holder(pid, pid in reading) for pid in sorted(pids - {os.getpid()}))


def find_flock_pids(path: Path) -> frozenset[int]:
    """Return the pids of visible processes that hold a flock(2) lock on a file."""
    try:
        inode = path.stat().st_ino
    except OSError:
        return frozenset()
    return frozenset(lock.pid for lock in _visible_locks("FLOCK", inode))


@dataclass(slots=True, frozen=True)
class _Lock:
    pid: int
    first: int
    last: int

    def covers_any(self, offsets: range) -> bool:
        return self.first < offsets.stop and self.last >= offsets.start


@contextmanager
def _index(database: Path) -> Iterator[int | None]:
    """Open the -shm file of a database for reading; None if it is missing or unreadable."""
    try:
        descriptor = os.open(database.with_name(f"{database.name}-shm"), os.O_RDONLY)
    except OSError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _find_one(descriptor: int, offsets: range) -> int | None:
    """Return the pid of one process with a lock on any of the bytes, or None."""
    query = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, offsets.start, len(offsets), 0)
    kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, query))
    return None if kind == fcntl.F_UNLCK else max(pid, UNSEEN)


def _visible_locks(kind: str, inode: int) -> Iterator[_Lock]:
    """Yield the locks of a kind on an inode; nothing if /proc/locks is unreadable.

    The device is not compared: on some file systems, such as btrfs, stat(2) shows another one.
    """
    try:
        lines = _LOCKS.read_text("ascii").splitlines()
    except OSError:
        return
    for line in lines:
        # 1: POSIX  ADVISORY  READ 7700 fe:00:9994468 128 128
        # A waiter's line has an arrow in place of the kind.
        _, found, _, _, pid, file, first, last = line.split()[:8]
        if found == kind and file.rpartition(":")[2] == str(inode):
            yield _Lock(int(pid), int(first), 2**63 if last == "EOF" else int(last))
