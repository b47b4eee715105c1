"""Spools: request bodies collected on disk until they are complete."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from collections import Counter
from collections.abc import AsyncIterable, Callable
from contextlib import aclosing, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

from actor_store.blob_store.batches import in_batches
from database.files import no_space_as

_KEPT_FREE_BYTES: Final = 256 * 1024 * 1024
_KEPT_FREE_PART: Final = 20
"""Space that spools leave to databases on the same disk: this many bytes, or this fraction of it,
whichever is less."""


class SpoolError(Exception):
    """A body could not be stored, and nothing of it was kept."""


class SpoolFull(SpoolError):
    """No space is left on the disk."""


class BodyTooLarge(SpoolError):
    """The body exceeds the size limit."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"body has more than {max_bytes} bytes")


class SpoolRoom:
    """The disk space used by all spools together, and by each holder.

    A holder may use as much as remains for others: the first up to half of the free space, the next
    up to a third of that, so there is always some for one more. Threads may share it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._used: Counter[str] = Counter()

    @property
    def used_bytes(self) -> int:
        """The space that all spools use."""
        return self._used.total()

    def take(self, holder: str, size_bytes: int, file_descriptor: int) -> None:
        """Reserve space for a write to a file. Raises `SpoolFull` if it is too much."""
        disk = os.fstatvfs(file_descriptor)
        kept_free = min(_KEPT_FREE_BYTES, disk.f_blocks * disk.f_frsize // _KEPT_FREE_PART)
        left = disk.f_bavail * disk.f_frsize - kept_free - size_bytes
        with self._lock:
            if self._used[holder] + size_bytes > left:
                raise SpoolFull("too little space for the body of a request")
            self._used[holder] += size_bytes

    def give_back(self, holder: str, size_bytes: int) -> None:
        """Release space that a spool had used."""
        with self._lock:
            self._used[holder] -= size_bytes
            if self._used[holder] <= 0:
                del self._used[holder]


class SpoolElsewhere:
    """A spool of another process of the server, for as long as that keeps it."""

    def __init__(self, path: Path) -> None:
        """Open the file when it is first read, because a message must arrive in any case."""
        self._path = path
        self._file: IO[bytes] | None = None

    def read(self, size: int, /) -> bytes:
        """See `Spool.read`. Raises `OSError`."""
        if self._file is None:
            self._file = self._path.open("rb")
        return self._file.read(size)

    def __del__(self) -> None:
        """Close the file: whoever gets it by a message does not know that it is one."""
        if self._file is not None:
            self._file.close()


class Spool:
    """An unnamed temporary file, as a context manager.

    It disappears when the block or the process ends, in whatever way, so it never leaves anything
    to clean up. `read` returns the content from the beginning, in any thread.
    """

    def __init__(self, directory: Path, room: SpoolRoom, holder: str) -> None:
        """Create the file on the disk of `directory`. Raises `SpoolFull`.

        Its space is counted in `room` for `holder`.
        """
        self._room = room
        self._holder = holder
        self.size_bytes = 0
        """The number of bytes written so far."""
        with no_space_as(_spool_full):
            self._file = tempfile.TemporaryFile(dir=directory)  # noqa: SIM115 (closed by the block)
        # Cancelling a task does not stop the thread that writes for it.
        self._lock = threading.Lock()

    async def fill(self, chunks: AsyncIterable[bytes], *, max_bytes: int) -> None:
        """Write `chunks`. Raises `BodyTooLarge`, `SpoolFull`, and what `chunks` raises."""
        async with aclosing(
            in_batches(chunks, max_bytes=max_bytes, too_large=BodyTooLarge)
        ) as batches:
            async for batch, is_last in batches:
                await asyncio.to_thread(self._write, batch, is_last=is_last)

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; nothing at the end."""
        with self._lock:
            return self._file.read(size)

    def rewind(self) -> None:
        """Make `read` start from the beginning again."""
        with self._lock:
            self._file.seek(0)

    def __reduce__(self) -> tuple[Callable[[Path], SpoolElsewhere], tuple[Path]]:
        """Pickle as what another process of the server reads from the beginning."""
        return SpoolElsewhere, (Path(f"/proc/{os.getpid()}/fd/{self._file.fileno()}"),)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        # Closing flushes the buffer, which fails again on a full disk.
        with self._lock:
            with suppress(OSError):
                self._file.close()
            self._room.give_back(self._holder, self.size_bytes)
            self.size_bytes = 0

    def _write(self, data: bytearray, *, is_last: bool) -> None:
        with self._lock, no_space_as(_spool_full):
            if self._file.closed:
                return
            self._room.take(self._holder, len(data), self._file.fileno())
            self.size_bytes += len(data)
            self._file.write(data)
            if is_last:
                self._file.seek(0)


def _spool_full(_: OSError) -> SpoolFull:
    return SpoolFull("no space for the body of a request")
