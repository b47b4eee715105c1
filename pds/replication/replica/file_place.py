"""A replica in a directory, such as a mounted disk or network share."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

from database.files import has_no_space
from pds.replication.errors import (
    DamagedReplicaFile,
    ReplicaFileMissing,
    ReplicaFull,
    ReplicaRefused,
    ReplicaUnavailable,
)
from pds.replication.replica import file_tree
from pds.replication.replica.names import checked_name
from pds.replication.replica.place import StoredFile

_T = TypeVar("_T")
_THREADS: Final = 8
"""A disk that hangs takes these and no others."""
_CALL_S: Final = 60.0
_COPYING_S: Final = 3600.0
"""For one large file; nothing tells a slow disk from one that hangs."""
_LISTED_AT_ONCE: Final = 500
_CHUNK_BYTES: Final = 1024 * 1024
_LOCK: Final = ".lock"
_LOCKING_S: Final = 10.0
_LOCK_EVERY_S: Final = 0.01
_REFUSALS: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENOTDIR})
_NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL})


class FilePlace:
    """A `ReplicaPlace` in an existing directory, which other programs must not write to."""

    def __init__(self, root: Path, *, call_s: float = _CALL_S) -> None:
        """`call_s` is how long a disk may take for all but large files."""
        self._root = root
        self._call_s = call_s
        self._required: str | None = None
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="replica")

    def require(self, name: str) -> None:
        """Refuse from now on to write or delete files while `name` is missing.

        Where a disk is not mounted there may still be a directory, on another disk.
        """
        self._required = checked_name(name)

    async def has_required(self) -> bool:
        """Whether the file that is required is there. Raises `ReplicaUnavailable`."""
        return await self._in_thread(self._is_whole, self._call_s)

    async def list(self, prefix: str = "") -> AsyncIterator[StoredFile]:
        """See `ReplicaPlace.list`."""
        found = file_tree.iter_files(self._root, prefix)
        while True:
            page = await self._call(lambda: list(islice(found, _LISTED_AT_ONCE)), prefix)
            for file in page:
                yield file
            if len(page) < _LISTED_AT_ONCE:
                return

    async def read(self, name: str, *, max_bytes: int) -> bytes:
        """See `ReplicaPlace.read`."""
        data = await self.read_start(name, max_bytes + 1)
        if len(data) > max_bytes:
            raise DamagedReplicaFile(f"{self._root}/{name} has more than {max_bytes} bytes")
        return data

    async def read_start(self, name: str, size: int) -> bytes:
        """See `ReplicaPlace.read_start`."""
        checked_name(name)

        def read() -> bytes:
            with os.fdopen(file_tree.open_to_read(self._root, name), "rb") as file:
                return file.read(size)

        return await self._call(read, name)

    async def download(self, name: str, path: Path) -> int:
        """See `ReplicaPlace.download`."""
        checked_name(name)

        def copy() -> int:
            with self._errors(name):
                source = os.fdopen(file_tree.open_to_read(self._root, name), "rb", buffering=0)
            copied = 0
            with source, path.open("wb") as target:
                while True:
                    with self._errors(name):
                        chunk = source.read(_CHUNK_BYTES)
                    if not chunk:
                        return copied
                    target.write(chunk)
                    copied += len(chunk)

        return await self._in_thread(copy, _COPYING_S)

    async def write(self, name: str, data: bytes, *, timestamp_ms: int | None = None) -> None:
        """See `ReplicaPlace.write`."""
        checked_name(name)
        await self._call(lambda: self._write(name, data, timestamp_ms), name, _COPYING_S)

    async def write_if_same(self, name: str, data: bytes, *, before: bytes | None) -> bool:
        """See `ReplicaPlace.write_if_same`. Atomic where the file system has locks."""
        checked_name(name)

        def write() -> bool:
            self._require_whole()
            with _locked(self._root):
                if self._current(name, len(before or b"") + 1) != before:
                    return False
                self._write(name, data, None)
                return True

        return await self._call(write, name)

    async def upload(self, name: str, path: Path, *, timestamp_ms: int | None = None) -> int:
        """See `ReplicaPlace.upload`."""
        checked_name(name)

        def copy() -> int:
            with path.open("rb") as source:
                copied = 0

                def fill(descriptor: int) -> None:
                    nonlocal copied
                    while chunk := _read_local(source.read, _CHUNK_BYTES):
                        _write_all(descriptor, chunk)
                        copied += len(chunk)

                try:
                    with self._errors(name):
                        self._require_whole()
                        file_tree.replace(self._root, name, fill, timestamp_ms=timestamp_ms)
                except _LocalFailure as exc:
                    raise exc.cause from exc
                return copied

        return await self._in_thread(copy, _COPYING_S)

    async def delete(self, names: Collection[str]) -> None:
        """See `ReplicaPlace.delete`."""
        doomed = iter([checked_name(name) for name in names])
        while page := list(islice(doomed, _LISTED_AT_ONCE)):
            await self._call(partial(self._remove, page), page[0])

    async def close(self) -> None:
        """End the threads, without waiting for a disk that hangs."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _write(self, name: str, data: bytes, timestamp_ms: int | None) -> None:
        self._require_whole()
        file_tree.replace(
            self._root,
            name,
            lambda descriptor: _write_all(descriptor, data),
            timestamp_ms=timestamp_ms,
        )

    def _remove(self, names: Collection[str]) -> None:
        self._require_whole()
        for name in names:
            file_tree.remove(self._root, name)

    def _current(self, name: str, max_bytes: int) -> bytes | None:
        try:
            with os.fdopen(file_tree.open_to_read(self._root, name), "rb") as file:
                return file.read(max_bytes)
        except FileNotFoundError:
            self._root.stat()
            return None

    async def _call(self, work: Callable[[], _T], name: str, timeout_s: float = 0) -> _T:
        """Run work that touches only the replica."""

        def run() -> _T:
            with self._errors(name):
                return work()

        return await self._in_thread(run, timeout_s or self._call_s)

    async def _in_thread(self, work: Callable[[], _T], timeout_s: float) -> _T:
        try:
            async with asyncio.timeout(timeout_s):
                return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except TimeoutError as exc:
            raise ReplicaUnavailable(
                f"the disk of {self._root} does not answer: see that its mount works"
            ) from exc
        except RuntimeError as exc:
            if "shutdown" not in str(exc):
                raise
            raise ReplicaUnavailable(f"the replica in {self._root} is closed") from exc

    @contextmanager
    def _errors(self, name: str) -> Iterator[None]:
        """Turn errors of the replica's disk into those of a replica."""
        try:
            yield
        except OSError as exc:
            where = f"{self._root}/{name}"
            if has_no_space(exc):
                raise ReplicaFull(f"the disk of {self._root} is full: make room there") from exc
            if isinstance(exc, FileNotFoundError | IsADirectoryError):
                self._require_root()
                raise ReplicaFileMissing(f"there is no file {where}") from exc
            if exc.errno in _REFUSALS:
                raise ReplicaRefused(
                    f"{where} cannot be used ({exc.strerror}): it must be a directory without "
                    "symbolic links in it, on a disk that is mounted for writing, and belong to "
                    "the user of this process"
                ) from exc
            raise ReplicaUnavailable(f"{where} fails: {exc.strerror or exc}") from exc

    def _is_whole(self) -> bool:
        return self._required is None or (self._root / self._required).exists()

    def _require_whole(self) -> None:
        if not self._is_whole():
            self._require_root()
            raise ReplicaUnavailable(
                f"{self._root} has no {self._required} any more: see that its disk is mounted"
            )

    def _require_root(self) -> None:
        if not os.path.isdir(self._root):  # noqa: PTH112 (never raises)
            raise ReplicaUnavailable(
                f"the directory {self._root} is missing: mount its disk, correct the URL, or make "
                f"it with `mkdir -p {self._root}` for a new replica"
            )


class _LocalFailure(Exception):
    """The local disk failed while a file was uploaded."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.cause = cause


def _read_local(read: Callable[[int], bytes], size: int) -> bytes:
    try:
        return read(size)
    except OSError as exc:
        raise _LocalFailure(exc) from exc


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Hold the lock of a replica, as far as its file system has locks."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(root / _LOCK, flags, 0o600)
    try:
        deadline = time.monotonic() + _LOCKING_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(_LOCK_EVERY_S)
            except OSError as exc:
                if exc.errno not in _NO_LOCKS:
                    raise
                break
        yield
    finally:
        with suppress(OSError):
            os.close(descriptor)
