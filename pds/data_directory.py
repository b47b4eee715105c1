"""The data directory: usable, and held by one server at a time."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Final

LOCK_FILE: Final = "holdfast.lock"


class DataDirectoryError(Exception):
    """The directory cannot be used; the message tells the operator why and what to do."""


class DataDirectoryHeld(DataDirectoryError):
    """Another server holds the directory."""


class DataDirectoryLock:
    """An exclusive lock on a data directory for as long as the process lives.

    The kernel drops it with the process, however that ends, so no stale lock is ever left.
    """

    def __init__(self, file_descriptor: int) -> None:
        self._file_descriptor = file_descriptor

    @classmethod
    def acquire(cls, directory: Path) -> DataDirectoryLock:
        """Create the directory if need be and lock it. Raises `DataDirectoryError`s."""
        try:
            directory.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
        except PermissionError as exc:
            raise DataDirectoryError(
                f"No permission to write in the data directory {directory}. "
                f"Give it to the user that runs pds (uid {os.getuid()}), "
                "or set PDS_DATA_DIRECTORY."
            ) from exc
        except OSError as exc:
            raise DataDirectoryError(
                f"Cannot use the data directory {directory}: {exc.strerror}."
            ) from exc
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as exc:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise DataDirectoryHeld(
                f"Another PDS process (pid {holder}) holds the data directory {directory}. "
                "Stop it first, or set PDS_DATA_DIRECTORY to another directory."
            ) from exc
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        return cls(descriptor)

    def release(self) -> None:
        """Let another process have the directory. Releasing twice is harmless."""
        if self._file_descriptor >= 0:
            os.close(self._file_descriptor)
            self._file_descriptor = -1
