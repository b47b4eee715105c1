"""A replica in an S3 bucket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Final
from urllib.parse import urlsplit

from actor_store.blob_store.base import (
    BlobObjectChanged,
    BlobObjectMissing,
    BlobStoreError,
    BlobStoreFull,
    BlobStoreMisconfigured,
    BlobStoreUnavailable,
    InvalidBlobRange,
)
from actor_store.blob_store.s3_arriving import ArrivingObject
from actor_store.blob_store.s3_bucket import S3Bucket
from actor_store.blob_store.s3_objects import S3Stream
from pds.replication.errors import (
    DamagedReplicaFile,
    ReplicaFileMissing,
    ReplicaFull,
    ReplicaRefused,
    ReplicaUnavailable,
)
from pds.replication.replica.names import checked_name
from pds.replication.replica.place import StoredFile
from pds.replication.replica.s3_names import to_key, to_key_prefix, to_name

_CHUNK_BYTES: Final = 1024 * 1024
_AT_ONCE: Final = 8
"""Uploads, which hold a part in memory each, and downloads."""
_DOWNLOAD_TRIES: Final = 3
_SMALL_BYTES: Final = 1024 * 1024
"""No file is longer that is replaced on a condition."""
_TIMESTAMP: Final = "litestream-timestamp"
"""The metadata where Litestream looks for the time of an LTX file."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NO_CONDITIONS: Final = ("NotImplemented", "InvalidArgument", "InvalidRequest", "501")
"""What servers say that do not know a condition, where they do not just ignore it."""
_DELETES_ONE_BY_ONE: Final = "storage.googleapis.com"


class S3Place:
    """A `ReplicaPlace` below a prefix of a bucket."""

    def __init__(self, bucket: S3Bucket, *, prefix: str) -> None:
        """Close `bucket` with the place. `prefix` is empty or ends with a slash."""
        self._bucket = bucket
        self._prefix = prefix
        self._room = asyncio.Semaphore(_AT_ONCE)

    async def list(self, prefix: str = "") -> AsyncIterator[StoredFile]:
        """See `ReplicaPlace.list`."""
        with _errors(prefix):
            async for info in self._bucket.list(self._prefix + to_key_prefix(prefix)):
                name = to_name(info.key.removeprefix(self._prefix))
                # Some programs make an empty object for a directory.
                if name.startswith(prefix) and not name.endswith("/"):
                    yield StoredFile(name, info.size, info.last_modified_s)

    async def read(self, name: str, *, max_bytes: int) -> bytes:
        """See `ReplicaPlace.read`."""
        data, _ = await self._read(name, max_bytes=max_bytes)
        return data

    async def read_start(self, name: str, size: int) -> bytes:
        """See `ReplicaPlace.read_start`."""
        with _errors(name):
            try:
                stream = await self._get(name, end=size)
            except InvalidBlobRange:  # An empty object has no first byte.
                return b""
            async with stream:
                # A server that does not know ranges sends everything.
                return b"".join([chunk async for chunk in stream])[:size]

    async def download(self, name: str, path: Path) -> int:
        """See `ReplicaPlace.download`."""
        async with self._room:
            for tries_left in reversed(range(_DOWNLOAD_TRIES)):
                try:
                    return await self._download(name, path)
                except _CutOff:
                    if not tries_left:
                        raise
        raise AssertionError("the last try raises")

    async def write(self, name: str, data: bytes, *, timestamp_ms: int | None = None) -> None:
        """See `ReplicaPlace.write`."""

        async def chunks() -> AsyncIterator[bytes]:
            for start in range(0, len(data), _CHUNK_BYTES):
                yield data[start : start + _CHUNK_BYTES]

        await self._put(name, len(data), chunks(), timestamp_ms)

    async def write_if_same(self, name: str, data: bytes, *, before: bytes | None) -> bool:
        """See `ReplicaPlace.write_if_same`. Atomic where the server knows conditions of PUT."""
        try:
            current, etag = await self._current(name)
        except DamagedReplicaFile:
            return False
        if current != before:
            return False
        condition = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        try:
            await self._put_if(name, data, condition)
        except BlobObjectChanged:
            # An earlier try may have succeeded although its answer was lost.
            return (await self._current(name))[0] == data
        return True

    async def upload(self, name: str, path: Path, *, timestamp_ms: int | None = None) -> int:
        """See `ReplicaPlace.upload`."""
        file, size = await asyncio.to_thread(_open, path)
        with file:
            await self._put(name, size, _chunks_of(file, size), timestamp_ms)
        return size

    async def delete(self, names: Collection[str]) -> None:
        """See `ReplicaPlace.delete`."""
        keys = [self._key(name) for name in names]
        with _errors("a deletion"):
            if _knows_no_bulk_deletion(self._bucket.location.endpoint):
                for key in keys:
                    await self._bucket.delete_one(key)
            else:
                await self._bucket.delete(keys)

    async def close(self) -> None:
        """See `ReplicaPlace.close`."""
        await self._bucket.close()

    def _key(self, name: str) -> str:
        return self._prefix + to_key(checked_name(name))

    async def _read(self, name: str, *, max_bytes: int) -> tuple[bytes, str]:
        """Return the bytes of an object and its ETag."""
        with _errors(name):
            stream = await self._get(name)
            async with stream:
                if stream.size > max_bytes:
                    raise DamagedReplicaFile(f"{name} has more than {max_bytes} bytes")
                return b"".join([chunk async for chunk in stream]), stream.info.etag

    async def _current(self, name: str) -> tuple[bytes | None, str | None]:
        """Return the bytes and the ETag of a small file; None and None if there is none."""
        try:
            return await self._read(name, max_bytes=_SMALL_BYTES)
        except ReplicaFileMissing:
            return None, None

    async def _download(self, name: str, path: Path) -> int:
        with _errors(name):
            stream = await self._get(name)
            async with stream:
                file = await asyncio.to_thread(path.open, "wb")
                try:
                    async for chunk in stream:
                        await asyncio.to_thread(file.write, chunk)
                except BlobStoreUnavailable as exc:
                    raise _CutOff(str(exc)) from exc
                finally:
                    await asyncio.to_thread(file.close)
            return stream.size

    async def _put(
        self, name: str, size: int, chunks: AsyncIterator[bytes], timestamp_ms: int | None
    ) -> None:
        more = _metadata(timestamp_ms)
        arriving = ArrivingObject(self._bucket, self._key(name), size, more=more)
        async with self._room:
            with _errors(name):
                await arriving.take(chunks)
                await arriving.keep()

    async def _get(self, name: str, *, end: int | None = None) -> S3Stream:
        stream = await self._bucket.get(self._key(name), end=end)
        if stream is None:
            raise ReplicaFileMissing(f"there is no file {name} in {self._bucket.location}")
        return stream

    async def _put_if(self, name: str, data: bytes, condition: dict[str, str]) -> None:
        """Put an object on a condition, or without it where the server does not know it."""
        with _errors(name):
            try:
                await self._bucket.put(self._key(name), data, more=condition)
            except (BlobStoreMisconfigured, BlobStoreUnavailable) as exc:
                if not any(f" says {code}" in str(exc) for code in _NO_CONDITIONS):
                    raise
                await self._bucket.put(self._key(name), data)


class _CutOff(ReplicaUnavailable):
    """A download that ended early: the calls themselves are repeated by the bucket."""


@contextmanager
def _errors(name: str) -> Iterator[None]:
    """Turn errors of a bucket into those of a replica."""
    try:
        yield
    except BlobObjectChanged:
        raise
    except BlobStoreFull as exc:
        raise ReplicaFull(str(exc)) from exc
    except BlobStoreMisconfigured as exc:
        raise ReplicaRefused(str(exc)) from exc
    except BlobObjectMissing as exc:
        raise ReplicaFileMissing(f"there is no file {name} ({exc})") from exc
    except BlobStoreError as exc:
        raise ReplicaUnavailable(str(exc)) from exc


def _metadata(timestamp_ms: int | None) -> dict[str, Any]:
    if timestamp_ms is None:
        return {}
    return {"Metadata": {_TIMESTAMP: timestamp_text(timestamp_ms)}}


def timestamp_text(timestamp_ms: int) -> str:
    """Return a time as Litestream writes it: RFC 3339, without zeros at the end of the second."""
    moment = _EPOCH + timedelta(milliseconds=timestamp_ms)
    millis = f".{timestamp_ms % 1000:03}".rstrip("0").rstrip(".")
    return f"{moment:%Y-%m-%dT%H:%M:%S}{millis}Z"


def _knows_no_bulk_deletion(endpoint: str | None) -> bool:
    return endpoint is not None and urlsplit(endpoint).hostname == _DELETES_ONE_BY_ONE


def _open(path: Path) -> tuple[BinaryIO, int]:
    file = path.open("rb")
    return file, path.stat().st_size


async def _chunks_of(file: BinaryIO, size: int) -> AsyncIterator[bytes]:
    left = size
    while left:
        chunk = await asyncio.to_thread(file.read, min(left, _CHUNK_BYTES))
        if not chunk:
            raise OSError(f"{file.name} became shorter while it was read")
        left -= len(chunk)
        yield chunk
