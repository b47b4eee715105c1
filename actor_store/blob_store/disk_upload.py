"""One upload being written to a file, which can be abandoned at any moment."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path
from typing import BinaryIO

from actor_store.blob_store.batches import Digest
from actor_store.blob_store.disk_files import blob_store_full, opened_new, sync_directories
from database.files import no_space_as


class UploadFile:
    """A file that is created with its first bytes and removed if the upload is abandoned.

    `write` and `finish` run in threads, one after the other. `abandon` may run concurrently,
    because cancelling a task does not stop the thread it was waiting for.
    """

    def __init__(self, path: Path, *, full_sync: bool = False) -> None:
        """`full_sync` makes the finished file durable before `finish` returns."""
        self._path = path
        self._full_sync = full_sync
        self._file: BinaryIO | None = None
        self._abandoned = False
        self._lock = threading.Lock()

    def write(self, data: bytes | bytearray, digest: Digest) -> None:
        """Append `data`, and add it to `digest`. Raises `BlobStoreFull`."""
        digest.update(data)
        with self._lock, no_space_as(blob_store_full):
            if self._abandoned:
                return
            if self._file is None:
                self._file = opened_new(self._path)
            self._file.write(data)

    def finish(self, data: bytes | bytearray, digest: Digest) -> None:
        """Append the last bytes and close. Raises `BlobStoreFull`."""
        self.write(data, digest)
        with self._lock, no_space_as(blob_store_full):
            if self._full_sync and self._file is not None:
                self._file.flush()
                os.fsync(self._file.fileno())
                sync_directories(self._path)
            self._close()

    def abandon(self) -> None:
        """Remove what was written, or will be by a thread yet to start."""
        with self._lock:
            self._abandoned = True
            # Closing flushes the buffer, which fails again on a full disk.
            with contextlib.suppress(OSError):
                self._close()
            self._path.unlink(missing_ok=True)

    def _close(self) -> None:
        # Clear the attribute first: a failed close has still closed the file.
        file, self._file = self._file, None
        if file is not None:
            file.close()
