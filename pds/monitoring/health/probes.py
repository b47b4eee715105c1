"""The probes of health checks on disk. Run them in threads: each blocks on the disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from database.errors import OUT_OF_FILES, DatabaseError
from database.files import has_no_space
from database.open_files import REMEDY
from database.opening import open_database
from pds.disk.remedies import give_to_server, mend_database

_BUSY_MS: Final = 500
_PROBE_NAME: Final = ".holdfast-health"


@dataclass(slots=True, frozen=True)
class Failure:
    """One failed check, and what an operator can do about it."""

    check: str
    reason: str
    remedy: str


class DatabaseProbe:
    """Checks the file of a database that the server has open."""

    def __init__(self, check: str, path: Path, table: str) -> None:
        """Remember the identity of the file. `table` is one of its tables. Raises `OSError`."""
        self._check = check
        self._path = path
        self._statement = f"SELECT 1 FROM {table} LIMIT 1"
        self._file = _identity(path)

    def failures(self) -> Iterator[Failure]:
        """Check that the file still exists and can be read from the disk."""
        try:
            identity = _identity(self._path)
        except OSError as exc:
            reason = f"{self._path}: {exc.strerror}"
            yield Failure(
                self._check,
                reason,
                "Stop the server, look for the disk or restore the file, and start it again.",
            )
            return
        if identity != self._file:
            # The server still writes to the old file, which is no longer linked.
            yield Failure(
                self._check,
                f"{self._path} was replaced while the server has the old file open",
                "Restart the server, and replace databases only while it is stopped.",
            )
            return
        try:
            # A separate connection, because the server's own would read from its page cache.
            db = open_database(self._path, create=False, read_only=True, busy_timeout_ms=_BUSY_MS)
            try:
                db.value(self._statement)
            finally:
                db.close()
        except DatabaseError as exc:
            yield database_failure(self._check, exc)


class RoomProbe:
    """Checks the free space on the disk of a directory."""

    def __init__(self, check: str, directory: Path, *, needed_bytes: int) -> None:
        """Require `needed_bytes`, the space that databases may need."""
        self._check = check
        self._directory = directory
        self._needed_bytes = needed_bytes

    def failures(self) -> Iterator[Failure]:
        """Check that there is enough space."""
        try:
            space = os.statvfs(self._directory)
        except OSError as exc:
            remedy = _remedy(exc, self._directory)
            yield Failure(self._check, f"{self._directory}: {exc.strerror}", remedy)
            return
        free = space.f_bavail * space.f_frsize
        if free < self._needed_bytes:
            yield Failure(
                self._check,
                f"{self._directory} has room for {free} bytes, databases may need "
                f"{self._needed_bytes}",
                "Free space on its disk.",
            )


class DirectoryProbe(RoomProbe):
    """Checks a directory that files are written to."""

    def failures(self) -> Iterator[Failure]:
        """Check that a file can be written, and that there is space for a large one."""
        try:
            self._write()
        except OSError as exc:
            yield Failure(
                self._check, f"{self._directory}: {exc.strerror}", _remedy(exc, self._directory)
            )
            return
        yield from super().failures()

    def _write(self) -> None:
        path = self._directory / _PROBE_NAME
        try:
            path.write_bytes(b"\n")
        finally:
            path.unlink(missing_ok=True)


def database_failure(check: str, exc: DatabaseError) -> Failure:
    """Return the failure for a database error."""
    remedy = mend_database(exc) or "Look into the log of the server."
    return Failure(check, f"{exc.path}: {exc.reason}", remedy)


def _identity(path: Path) -> tuple[int, int]:
    # The file is never opened here: closing it would drop SQLite's locks in this process.
    found = path.stat()
    return found.st_dev, found.st_ino


def _remedy(exc: OSError, directory: Path) -> str:
    if has_no_space(exc):
        return "Free space on its disk."
    if exc.errno in OUT_OF_FILES:
        return f"{REMEDY[:1].upper()}{REMEDY[1:]}."
    if exc.errno in (errno.ENOENT, errno.ENOTDIR):
        return "See that its disk is mounted."
    return give_to_server(directory)
