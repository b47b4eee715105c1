"""A disk that forgets what was not synced: it notes in a journal what a server writes and syncs.

`install` puts it under SQLite, as a VFS, and under `os.fsync` and `os.fdatasync`, in the server's
process and before it starts; the zygote does that. Every sync takes some milliseconds. What is
written reaches the real files at once, so the server notices nothing; `tests.e2e.lost_writes` reads
the journal when the power has failed.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from pathlib import Path
from typing import Any, Final

import apsw
import cbor2

_JOURNALS: Final = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL
_NOTED: Final = apsw.SQLITE_OPEN_MAIN_DB | _JOURNALS
_BELOW: Final = "unix"
"""The VFS that does the work. The name of the default one would lead here again."""


class Journal:
    """What has been written and synced, in order: a file of CBOR arrays that survives the process.

    ``["write", inode, offset, bytes]``, ``["truncate", inode, size]``, ``["new", inode]``,
    ``["synced", inode, entries before it began, size]``, ``["directory", path, names]``.
    """

    def __init__(self, path: Path, *, delay_s: float) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.delay_s = delay_s
        self.count = 0
        # An entry and what it tells of happen in the same order.
        self.lock = threading.RLock()

    def note(self, *entry: Any) -> None:
        """Append an entry."""
        with self.lock:
            os.write(self._descriptor, cbor2.dumps(entry))
            self.count += 1

    def sync(self, descriptor: int) -> None:
        """Instead of a sync: wait as long as it would take, and note what is durable then."""
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode):
            self.sync_directory(Path(f"/proc/self/fd/{descriptor}").readlink())
        else:
            self.sync_file(status.st_ino, status.st_size)

    def sync_file(self, inode: int, size: int) -> None:
        """See `sync`."""
        before = self.count
        time.sleep(self.delay_s)
        self.note("synced", inode, before, size)

    def sync_directory(self, path: Path) -> None:
        """See `sync`."""
        names = [entry.name for entry in path.iterdir()]
        time.sleep(self.delay_s)
        self.note("directory", str(path), names)


class _NotedFile(apsw.VFSFile):
    """A database, a WAL or a rollback journal."""

    def __init__(self, journal: Journal, name: str | apsw.URIFilename, flags: list[int]) -> None:
        self._journal = journal
        self._path = Path(name if isinstance(name, str) else name.filename())
        self._is_journal = bool(flags[0] & _JOURNALS)
        is_new = not self._path.exists()
        if flags[0] & apsw.SQLITE_OPEN_READONLY:
            # On closing, SQLite asks for a lock that such a file cannot have, and does without. But
            # apsw raises the error, and leaves the file locked.
            flags[0] ^= apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_READWRITE
        super().__init__(_BELOW, name, flags)
        self._inode = self._path.stat().st_ino
        if is_new:
            journal.note("new", self._inode)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 (SQLite's)
        with self._journal.lock:
            self._journal.note("write", self._inode, offset, bytes(data))
            super().xWrite(data, offset)

    def xTruncate(self, size: int) -> None:  # noqa: N802 (SQLite's)
        with self._journal.lock:
            self._journal.note("truncate", self._inode, size)
            super().xTruncate(size)

    def xSync(self, flags: int) -> None:  # noqa: N802 (SQLite's)
        self._journal.sync_file(self._inode, self.xFileSize())
        if self._is_journal:
            # As SQLite's own VFS does, once for each time that the file is opened.
            self._is_journal = False
            self._journal.sync_directory(self._path.parent)


class _NotingVfs(apsw.VFS):
    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        super().__init__("volatile", _BELOW, makedefault=True)

    def xOpen(  # noqa: N802 (SQLite's)
        self, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> apsw.VFSFile:
        if name is not None and flags[0] & _NOTED:
            return _NotedFile(self._journal, name, flags)
        return apsw.VFSFile(_BELOW, name, flags)


def install(path: Path, *, delay_s: float) -> None:
    """Note from now on, in the journal `path`, what this process writes."""
    journal = Journal(path, delay_s=delay_s)
    initialize = apsw.initialize

    def initialize_on_disk() -> None:
        # This makes SQLite's own VFS the default again.
        initialize()
        _kept.append(_NotingVfs(journal))

    apsw.initialize = initialize_on_disk
    initialize_on_disk()
    for name in ("fsync", "fdatasync"):
        setattr(os, name, journal.sync)


_kept: list[apsw.VFS] = []
"""SQLite does not keep them alive."""
