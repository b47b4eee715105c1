"""Which other processes have a database open, told by the locks that SQLite holds for them.

Every connection in WAL mode holds a shared lock on one byte of the -shm file, and in a read
transaction one on a byte of five more (https://sqlite.org/walformat.html#wal_locks). /proc/locks
lists the locks of the processes that can be seen from here. Of those that cannot, such as one of
another container, the system tells only that there is one.
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
"""The pid of a process that cannot be seen from here."""

_OPEN: Final = range(128, 129)
"""The byte of every open connection: UNIX_SHM_DMS."""
_READS: Final = range(123, 128)
"""Those of read transactions: WAL_READ_LOCK."""
_FLOCK: Final = "hhqqi"
"""struct flock of Linux: l_type, l_whence, l_start, l_len, l_pid."""
_LOCKS: Final = Path("/proc/locks")


@dataclass(slots=True, frozen=True)
class Holder:
    """A process that has a database open."""

    pid: int
    """`UNSEEN` for any that cannot be seen from here."""
    is_reading: bool
    """Whether it is within a read transaction."""


def is_open(database: Path) -> bool:
    """Whether another process has `database` open in WAL mode, whatever program it is.

    Not for a process that has it open itself: SQLite would lose the locks it holds there.
    """
    with _index(database) as descriptor:
        return descriptor is not None and _find_one(descriptor, _OPEN) is not None


def find_holders(database: Path) -> tuple[Holder, ...]:
    """The processes for which `is_open` is true. Reads the locks of the whole machine."""
    with _index(database) as descriptor:
        if descriptor is None or (asked := _find_one(descriptor, _OPEN)) is None:
            return ()
        reader = _find_one(descriptor, _READS)
        locks = tuple(_visible_locks("POSIX", os.fstat(descriptor).st_ino))
    reading = {lock.pid for lock in locks if lock.covers_any(_READS)} | {reader}
    pids = {lock.pid for lock in locks if lock.covers_any(_OPEN)} | {asked}
    return tuple(Holder(pid, pid in reading) for pid in sorted(pids - {os.getpid()}))


def find_flock_pids(path: Path) -> frozenset[int]:
    """The processes that can be seen from here and hold a file by flock(2)."""
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
    """The -shm file of a database, open for reading; None if there is none for us."""
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
    """The pid of one process with a lock on any of the bytes; None if there is none."""
    query = struct.pack(_FLOCK, fcntl.F_WRLCK, os.SEEK_SET, offsets.start, len(offsets), 0)
    kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, query))
    return None if kind == fcntl.F_UNLCK else max(pid, UNSEEN)


def _visible_locks(kind: str, inode: int) -> Iterator[_Lock]:
    """The locks of a kind on an inode; none where the system does not tell.

    The device is not compared: some file systems, such as btrfs, show another one to stat(2).
    """
    try:
        lines = _LOCKS.read_text("ascii").splitlines()
    except OSError:
        return
    for line in lines:
        # 1: POSIX  ADVISORY  READ 7700 fe:00:9994468 128 128
        # Who waits for a lock has an arrow in place of the kind.
        _, found, _, _, pid, file, first, last = line.split()[:8]
        if found == kind and file.rpartition(":")[2] == str(inode):
            yield _Lock(int(pid), int(first), 2**63 if last == "EOF" else int(last))
