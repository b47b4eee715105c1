"""The errors of a database file, as one tree.

DatabaseError
├── DatabaseBusy          another connection holds the lock; try again
├── DatabaseClosed        used after `close`
├── DatabaseMissing       no such file, or its directory is missing
├── DatabaseForbidden     the process may not read or write the file
├── DatabaseDamaged       not a database, or its pages are inconsistent
├── DatabaseFull          the disk or a quota is full
├── DatabaseOutOfFiles    the process or the system has too many files open
├── DatabaseIoFailed      the operating system failed to read or write
├── DatabaseUnsynced      nobody knows what is on the disk of what was written last
├── ConstraintViolated    a row breaks a UNIQUE, NOT NULL or FOREIGN KEY rule
├── StatementFailed       the statement or its use is wrong: a bug in the caller
└── SchemaUnknown
    ├── SchemaTooNew      a newer program has migrated this database
    └── SchemaGap         a migration in the middle was never applied
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Final

import apsw

from database.files import NO_SPACE


class DatabaseError(Exception):
    """A database operation failed. `path` names the file."""

    hint: str = ""
    """What an operator can do about it, appended to the message."""

    def __init__(self, path: Path | str, reason: str) -> None:
        self.path = path
        self.reason = reason
        super().__init__(f"{path}: {reason}" + (f" ({self.hint})" if self.hint else ""))


class DatabaseBusy(DatabaseError):
    """Another connection holds the lock; nothing was changed, and retrying is safe."""

    hint = "another process is writing to it; if none should be, look for a second server"


class DatabaseClosed(DatabaseError):
    """The database was used after `close`."""


class DatabaseMissing(DatabaseError):
    """The file or its directory does not exist."""

    hint = "check the data directory setting and that its disk is mounted"


class DatabaseForbidden(DatabaseError):
    """The process may not read or write the file or its directory."""

    hint = "the file, its -wal and -shm siblings and their directory must belong to the server"


class DatabaseDamaged(DatabaseError):
    """The file is not a database, or its pages contradict each other."""

    hint = "stop the server and restore this file from its backup or replica"


class DatabaseFull(DatabaseError):
    """The disk or a quota is full. The transaction was rolled back."""

    hint = "free space on the disk that holds it"


class DatabaseOutOfFiles(DatabaseError):
    """Too many files are open. Nothing was changed, and retrying later is safe."""

    hint = (
        "raise the limit of open files: LimitNOFILE= in the systemd unit, --ulimit nofile= for "
        "docker run, ulimit -n in a shell"
    )


class DatabaseIoFailed(DatabaseError):
    """The operating system failed to read or write, or memory ran out."""

    hint = "check the kernel log and the disk"


class DatabaseUnsynced(DatabaseError):
    """The disk failed to take what was written. A restart shows what is there."""

    hint = "check the kernel log and the disk"

    def __init__(self, path: Path | str, reason: str) -> None:
        super().__init__(path, f"{reason}: what was written last may be lost")


class ConstraintViolated(DatabaseError):
    """A row breaks a UNIQUE, NOT NULL, CHECK or FOREIGN KEY rule; `reason` names the columns."""


class StatementFailed(DatabaseError):
    """The SQL, its bindings or the place of its use are wrong."""


class SchemaUnknown(DatabaseError):
    """The migrations recorded in the file differ from those this program knows."""


class SchemaTooNew(SchemaUnknown):
    """The file has migrations this program does not know. It was not changed."""

    hint = "start the version that migrated it, or a newer one"


class SchemaGap(SchemaUnknown):
    """A later migration is recorded but an earlier one is not. The file was not changed."""

    hint = "restore this file from its backup or replica"


_BY_CLASS: Final[dict[type[apsw.Error], type[DatabaseError]]] = {
    apsw.BusyError: DatabaseBusy,
    apsw.ConnectionClosedError: DatabaseClosed,
    apsw.CursorClosedError: DatabaseClosed,
    apsw.CantOpenError: DatabaseMissing,
    apsw.PermissionsError: DatabaseForbidden,
    apsw.ReadOnlyError: DatabaseForbidden,
    apsw.AuthError: DatabaseForbidden,
    apsw.CorruptError: DatabaseDamaged,
    apsw.NotADBError: DatabaseDamaged,
    apsw.FormatError: DatabaseDamaged,
    apsw.FullError: DatabaseFull,
    apsw.IOError: DatabaseIoFailed,
    apsw.NoMemError: DatabaseIoFailed,
    apsw.NoLFSError: DatabaseIoFailed,
    apsw.ProtocolError: DatabaseIoFailed,
    apsw.ConstraintError: ConstraintViolated,
    apsw.Error: StatementFailed,
}
"""Our class for each class of apsw; the nearest ancestor counts."""

_FORBIDDEN: Final = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
OUT_OF_FILES: Final = frozenset({errno.EMFILE, errno.ENFILE})
"""errno values for too many open files, in the process or the whole system."""


def map_error(exc: apsw.Error, path: Path | str, *, os_errno: int = 0) -> DatabaseError:
    """Return `exc` as an error of this tree. `os_errno` is the last errno, 0 if unknown."""
    listed = next(_BY_CLASS[c] for c in type(exc).__mro__ if c in _BY_CLASS)
    if listed is DatabaseMissing or listed is DatabaseIoFailed:
        listed = _by_errno(os_errno, listed)
    return listed(path, str(exc) or type(exc).__name__)


def _by_errno(os_errno: int, listed: type[DatabaseError]) -> type[DatabaseError]:
    """Distinguish causes that SQLite reports with one code: "unable to open" and "disk I/O"."""
    if os_errno in NO_SPACE:
        return DatabaseFull
    if os_errno in _FORBIDDEN:
        return DatabaseForbidden
    if os_errno in OUT_OF_FILES:
        return DatabaseOutOfFiles
    return listed
