"""A replica on an SSH server, reached by SFTP."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Final

import asyncssh

from pds.replication.errors import DamagedReplicaFile, ReplicaFileMissing, ReplicaFull
from pds.replication.replica.names import checked_name, is_finished
from pds.replication.replica.place import StoredFile
from pds.replication.replica.sftp_connection import CALL_S, SftpConnection, replace_file
from pds.replication.replica.sftp_url import SftpAddress

_CHUNK_BYTES: Final = 1024 * 1024
_NS_IN_MS: Final = 1_000_000


class SftpPlace:
    """A `ReplicaPlace` in a directory of an SSH server, which is made with the first file."""

    def __init__(self, address: SftpAddress) -> None:
        """Nothing is sent yet."""
        self._connection = SftpConnection(address)
        self._root = address.directory

    async def list(self, prefix: str = "") -> AsyncIterator[StoredFile]:
        """See `ReplicaPlace.list`."""
        start = prefix.rpartition("/")[0]
        async for file in self._walk(f"{start}/" if start else "", prefix):
            yield file

    async def read(self, name: str, *, max_bytes: int) -> bytes:
        """See `ReplicaPlace.read`."""
        data = await self.read_start(name, max_bytes + 1)
        if len(data) > max_bytes:
            raise DamagedReplicaFile(f"{name} has more than {max_bytes} bytes")
        return data

    async def read_start(self, name: str, size: int) -> bytes:
        """See `ReplicaPlace.read_start`."""
        path = self._path(name)

        async def read(sftp: Any) -> bytes:
            async with sftp.open(path, "rb") as file:
                return bytes(await file.read(size))

        return await self._connection.call(name, read)

    async def download(self, name: str, path: Path) -> int:
        """See `ReplicaPlace.download`."""
        remote = self._path(name)

        async def copy(sftp: Any) -> int:
            async with sftp.open(remote, "rb") as source:
                with await asyncio.to_thread(path.open, "wb") as target:
                    copied = 0
                    while chunk := await _in_time(source.read(_CHUNK_BYTES, copied)):
                        await asyncio.to_thread(target.write, chunk)
                        copied += len(chunk)
            return copied

        return await self._connection.call(name, copy, large=True)

    async def write(self, name: str, data: bytes, *, timestamp_ms: int | None = None) -> None:
        """See `ReplicaPlace.write`."""

        async def chunks() -> AsyncIterator[bytes]:
            for start in range(0, len(data), _CHUNK_BYTES):
                yield data[start : start + _CHUNK_BYTES]

        await self._replace(name, chunks, timestamp_ms)

    async def write_if_same(self, name: str, data: bytes, *, before: bytes | None) -> bool:
        """See `ReplicaPlace.write_if_same`.

        SFTP can promise it for new files only: of two that replace one, both may succeed.
        """
        try:
            current = await self.read(name, max_bytes=len(before or b"") + 1)
        except ReplicaFileMissing:
            current = None
        except DamagedReplicaFile:
            return False
        if current != before:
            return False

        async def chunks() -> AsyncIterator[bytes]:
            yield data

        try:
            await self._replace(name, chunks, None, must_be_new=before is None)
        except _ExistsError:
            return await self.read(name, max_bytes=len(data) + 1) == data
        return True

    async def upload(self, name: str, path: Path, *, timestamp_ms: int | None = None) -> int:
        """See `ReplicaPlace.upload`."""
        with await asyncio.to_thread(path.open, "rb") as file:
            await self._replace(name, lambda: _chunks_of(file), timestamp_ms)
            return file.tell()

    async def delete(self, names: Collection[str]) -> None:
        """See `ReplicaPlace.delete`."""
        for name in names:
            path = self._path(name)

            async def remove(sftp: Any, path: str = path) -> None:
                with suppress(asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
                    await sftp.remove(path)

            await self._connection.call(name, remove)

    async def close(self) -> None:
        """See `ReplicaPlace.close`."""
        await self._connection.close()

    def _path(self, name: str) -> str:
        return f"{self._root}/{checked_name(name)}"

    async def _walk(self, above: str, prefix: str) -> AsyncIterator[StoredFile]:
        for name, attrs in await self._entries(above):
            if name.endswith("/"):
                if name.startswith(prefix) or prefix.startswith(name):
                    async for file in self._walk(name, prefix):
                        yield file
            elif name.startswith(prefix):
                yield StoredFile(name, attrs.size or 0, float(attrs.mtime or 0))

    async def _entries(self, above: str) -> Sequence[tuple[str, Any]]:
        """Return the files and directories in a directory, ordered by the names below them."""

        async def read(sftp: Any) -> Sequence[tuple[str, Any]]:
            found = []
            async for entry in sftp.scandir(f"{self._root}/{above}".rstrip("/")):
                name, kind = str(entry.filename), entry.attrs.type
                if not is_finished(name):
                    continue
                if kind == asyncssh.FILEXFER_TYPE_DIRECTORY:
                    found.append((f"{above}{name}/", entry.attrs))
                elif kind == asyncssh.FILEXFER_TYPE_REGULAR:
                    found.append((above + name, entry.attrs))
            return sorted(found, key=lambda entry: entry[0])

        try:
            return await self._connection.call(above, read)
        except ReplicaFileMissing:
            return []

    async def _replace(
        self,
        name: str,
        chunks: Callable[[], AsyncIterator[bytes]],
        timestamp_ms: int | None,
        *,
        must_be_new: bool = False,
    ) -> None:
        path = self._path(name)
        directory, _, _ = path.rpartition("/")
        part = f"{directory}/.{secrets.token_hex(8)}.part"

        async def write(sftp: Any) -> None:
            file = await _create(sftp, directory, part)
            try:
                async with file:
                    written = 0
                    async for chunk in chunks():
                        await _in_time(file.write(chunk, written))
                        written += len(chunk)
                    with suppress(asyncssh.SFTPOpUnsupported):
                        await _in_time(file.fsync())
                if timestamp_ms is not None:
                    time_ns = timestamp_ms * _NS_IN_MS
                    await _in_time(sftp.utime(part, ns=(time_ns, time_ns)))
                await _in_time(_rename(sftp, part, path, must_be_new=must_be_new))
            except BaseException as exc:
                # Before what fills it is removed. OpenSSH says no more than that it failed.
                full = isinstance(exc, asyncssh.SFTPFailure) and await _is_full(sftp, directory)
                with suppress(asyncssh.Error, ConnectionError, TimeoutError):
                    await _in_time(sftp.remove(part))
                if full:
                    raise ReplicaFull(
                        f"the disk of {self._connection.address} is full: make room there"
                    ) from exc
                raise

        await self._connection.call(name, write, large=True)


class _ExistsError(Exception):
    """There is a file that was to be new."""


async def _create(sftp: Any, directory: str, part: str) -> Any:
    """Create a file for writing, with the directories above it."""
    attrs = asyncssh.SFTPAttrs(permissions=0o600)
    try:
        return await _in_time(sftp.open(part, "xb", attrs))
    except (asyncssh.SFTPNoSuchFile, asyncssh.SFTPNoSuchPath):
        attrs_of_directory = asyncssh.SFTPAttrs(permissions=0o700)
        await _in_time(sftp.makedirs(directory, attrs_of_directory, exist_ok=True))
        return await _in_time(sftp.open(part, "xb", attrs))


async def _rename(sftp: Any, part: str, path: str, *, must_be_new: bool) -> None:
    if must_be_new:
        try:
            await sftp.rename(part, path)
        except (asyncssh.SFTPFailure, asyncssh.SFTPFileAlreadyExists) as exc:
            if await sftp.lexists(path):
                raise _ExistsError from exc
            raise
        return
    await replace_file(sftp, part, path)


async def _is_full(sftp: Any, directory: str) -> bool:
    try:
        about = await _in_time(sftp.statvfs(directory))
        return bool(about.bavail * about.frsize < _CHUNK_BYTES)
    except (asyncssh.Error, ConnectionError, TimeoutError):
        return False


async def _chunks_of(file: BinaryIO) -> AsyncIterator[bytes]:
    file.seek(0)
    while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
        yield chunk


async def _in_time(waiting: Awaitable[Any]) -> Any:
    async with asyncio.timeout(CALL_S):
        return await waiting
