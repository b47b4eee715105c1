"""The data directory: checking that it is usable, and locking it for one server."""

from __future__ import annotations

import fcntl
import os
import shlex
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pds.disk.network_filesystem import database_directories, existing_part, find_network_type
from pds.disk.remedies import give_to_server

if TYPE_CHECKING:
    from pds.config import Settings

LOCK_FILE: Final = "holdfast.lock"
CHECK_FILE: Final = "holdfast.check"
"""A file with this name in the data directory makes the next start check every store."""
RUN_FILE: Final = "holdfast.run"
"""Contains the id of the last run, which the databases beside it contain, too."""
STANDBY_FILE: Final = "standby.sqlite"
"""With this file in it, the directory is a standby's copy of another server, not a server's."""
_WORKERS_END_S: Final = 2.0
"""How long the workers of a server that was killed may take to end: the system kills them."""
_OWNER_ONLY: Final = 0o077
"""The umask of a process that holds a data directory, whatever umask it was started with.

Other users must not read its files: databases contain email addresses, password hashes and private
preferences. Existing directories keep the modes that the operator gave them, and default ACLs
override any umask.
"""


class DataDirectoryError(Exception):
    """A directory cannot be used. The message tells the operator why and what to do."""


class DataDirectoryHeld(DataDirectoryError):
    """Another server holds the directory."""


class DirectoryIsStandby(DataDirectoryError):
    """The directory follows another server, and a second one on it must not start."""


class DataDirectoryLock:
    """An exclusive lock on a data directory for the lifetime of the process.

    The kernel releases it when the process ends in any way, so stale locks cannot occur.
    """

    made_directory: bool
    """Whether the directory was created."""

    def __init__(self, file_descriptor: int, umask_before: int, *, made_directory: bool) -> None:
        self._file_descriptor = file_descriptor
        self._umask_before = umask_before
        self.made_directory = made_directory

    @classmethod
    def acquire(
        cls, directory: Path, *, option: str = "PDS_DATA_DIRECTORY", for_standby: bool = False
    ) -> DataDirectoryLock:
        """Create the directory if necessary, and lock it. Raises `DataDirectoryError`s.

        While the lock is held, files that the process creates are readable only by its user.
        `option` is the setting that names the directory, for error messages. Only `for_standby` may
        hold that of a standby.
        """
        if not for_standby:
            refuse_standby(directory)
        umask_before = os.umask(_OWNER_ONLY)
        try:
            made = NeededDirectory("data", option, directory).make()
            return cls(cls._lock(directory, option), umask_before, made_directory=made)
        except BaseException:
            os.umask(umask_before)
            raise

    @staticmethod
    def _lock(directory: Path, option: str) -> int:
        try:
            descriptor = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as exc:
            raise DataDirectoryError(
                f"Cannot write {directory / LOCK_FILE}: {exc.strerror}. "
                f"{give_to_server(directory / LOCK_FILE)} Or run pds as its owner."
            ) from exc
        if os.geteuid() == 0:
            # A file created by root must belong to the server's user, who owns the directory.
            owner = directory.stat()
            os.fchown(descriptor, owner.st_uid, owner.st_gid)
        try:
            _lock_soon(descriptor)
        except BlockingIOError as exc:
            holder = _pid_in(descriptor)
            os.close(descriptor)
            raise DataDirectoryHeld(
                f"Another PDS process (pid {holder}) holds the data directory {directory}. "
                f"Stop it first, or set {option} to another directory."
            ) from exc
        except OSError as exc:
            os.close(descriptor)
            raise DataDirectoryError(
                f"Cannot lock the data directory {directory}: {exc.strerror}. "
                "It must be on a local disk, not on a network filesystem."
            ) from exc
        _write_pid(descriptor)
        return descriptor

    @classmethod
    def inherited(cls, file_descriptor: int) -> DataDirectoryLock:
        """Hold a lock that another process has taken: it lasts until both have ended."""
        return cls(file_descriptor, os.umask(_OWNER_ONLY), made_directory=False)

    def fileno(self) -> int:
        """Return the open file, for processes that share the lock."""
        return self._file_descriptor

    def release(self) -> None:
        """Release the directory to other processes. Releasing twice is harmless."""
        if self._file_descriptor >= 0:
            os.close(self._file_descriptor)
            self._file_descriptor = -1
            os.umask(self._umask_before)


def refuse_standby(directory: Path) -> None:
    """Raise `DirectoryIsStandby` if a directory is that of a standby."""
    if (directory / STANDBY_FILE).exists():
        raise DirectoryIsStandby(
            f"{directory} is a standby, which follows another server. To make a server of it, stop "
            f"the other one and run `pds standby promote {shlex.quote(str(directory))}`."
        )


def find_holder(directory: Path) -> str | None:
    """Return the pid of the server that holds a directory, or `unknown`; None if it is free."""
    try:
        descriptor = os.open(directory / LOCK_FILE, os.O_RDONLY)
    except OSError:
        return None
    try:
        # Shared, so that concurrent readers do not conflict, and released immediately.
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return _pid_in(descriptor)
    finally:
        os.close(descriptor)
    return None


def _lock_soon(descriptor: int) -> None:
    """Lock at once, or as soon as the workers of a server that was killed have ended, too.

    Raises `OSError`, `BlockingIOError` if somebody holds the lock.
    """
    give_up_at = time.monotonic() + _WORKERS_END_S
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 32, 0).strip()
            is_running = Path(f"/proc/{holder.decode('ascii', 'replace')}").exists()
            if is_running or time.monotonic() > give_up_at:
                raise
            time.sleep(0.01)
        else:
            return


def _write_pid(lock: int) -> None:
    # Overwrites the last pid, whose disk space exists even when the disk is full. If the write
    # fails, the lock still holds but does not show its owner.
    text = f"{os.getpid()}\n".encode()
    with suppress(OSError):
        os.pwrite(lock, text, 0)
        os.ftruncate(lock, len(text))


def _pid_in(lock: int) -> str:
    return os.read(lock, 32).decode("ascii", "replace").strip() or "unknown"


@dataclass(slots=True, frozen=True)
class DirectoryFault:
    """Why a directory cannot be used and what to do, as one sentence each."""

    message: str
    remedy: str


@dataclass(slots=True, frozen=True)
class NeededDirectory:
    """A directory that the server writes to, its purpose, and the setting that names it."""

    kind: str
    setting: str
    path: Path

    def find_fault(self) -> DirectoryFault | None:
        """Return why a server run by this user could not use it; None if it could.

        A missing directory is usable if it can be created.
        """
        part = existing_part(self.path)
        if not part.is_dir():
            return DirectoryFault(
                f"The {self.kind} directory {self.path} is not a directory, or lies below a file.",
                f"Set {self.setting} to a directory.",
            )
        if not os.access(part, os.R_OK | os.W_OK | os.X_OK):
            return self._no_permission()
        return None

    def make(self) -> bool:
        """Ensure that the directory is usable; return whether it was created.

        Raises `DataDirectoryError`.
        """
        is_there = self.path.exists()
        fault = self.find_fault()
        if fault is None and not is_there:
            fault = self._make()
        if fault is not None:
            raise DataDirectoryError(f"{fault.message} {fault.remedy}")
        return not is_there

    def _make(self) -> DirectoryFault | None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except PermissionError:
            return self._no_permission()
        except OSError as exc:
            return DirectoryFault(
                f"Cannot use the {self.kind} directory {self.path}: {exc.strerror}.",
                f"Set {self.setting} to another directory.",
            )
        return None

    def _no_permission(self) -> DirectoryFault:
        return DirectoryFault(
            f"No permission to write in the {self.kind} directory {self.path}.",
            f"Give it to the user that runs pds (uid {os.getuid()}), or set {self.setting}. "
            f"{give_to_server(self.path)}",
        )


def needed_directories(settings: Settings) -> tuple[NeededDirectory, ...]:
    """Return the directories that the server creates if missing, the data directory first."""
    named = (
        ("data", "PDS_DATA_DIRECTORY", settings.data_directory),
        ("actor store", "PDS_ACTOR_STORE_DIRECTORY", settings.actors_directory),
        ("blob", "PDS_BLOBSTORE_DISK_LOCATION", settings.blob_directory),
        ("upload", "PDS_BLOBSTORE_DISK_TMP_LOCATION", settings.blob_tmp_directory),
    )
    return tuple(
        NeededDirectory(kind, setting, path) for kind, setting, path in named if path is not None
    )


def make_directories(settings: Settings) -> tuple[NeededDirectory, ...]:
    """Create the directories that settings may place elsewhere; return those that were missing.

    Database directories on a network file system are refused. Raises `DataDirectoryError`.
    """
    _refuse_network_filesystems(settings)
    return tuple(each for each in needed_directories(settings)[1:] if each.make())


def _refuse_network_filesystems(settings: Settings) -> None:
    for setting, directory in database_directories(settings).items():
        kind = find_network_type(directory)
        if kind is not None:
            raise DataDirectoryError(
                f"{directory} is on a network file system ({kind}), where SQLite loses data. "
                f"Set {setting} to a directory on a local disk."
            )
