"""What S3 tells of objects, uploads and their parts, and an object that is being read."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from botocore.exceptions import BotoCoreError

from actor_store.blob_store.base import BlobStoreUnavailable, OpenBlob
from actor_store.blob_store.s3_errors import blob_store_error
from actor_store.blob_store.s3_location import S3Location

READ_BYTES: Final = 256 * 1024


@dataclass(slots=True, frozen=True)
class ObjectInfo:
    """An object as a listing or HEAD tells of it."""

    key: str
    size: int
    etag: str
    """In quotes, as S3 writes it."""
    last_modified_s: float
    """Unix time."""

    @classmethod
    def of(cls, key: str, answer: Any) -> ObjectInfo:
        """Read an answer of HEAD, GET or, of one object, a listing."""
        size = answer["Size"] if "Size" in answer else answer.get("ContentLength", 0)
        return cls(key, int(size), str(answer["ETag"]), answer["LastModified"].timestamp())


@dataclass(slots=True, frozen=True)
class S3Part:
    """A part of a multipart upload."""

    number: int
    """1 to 10 000; a gap is no error."""
    etag: str
    """In quotes, or without."""
    size: int = 0
    """0 if it is not known. By the sizes, a completion finds that it has been done already."""


@dataclass(slots=True, frozen=True)
class UnfinishedUpload:
    """A multipart upload that was begun and neither completed nor aborted."""

    key: str
    upload_id: str
    begun_s: float
    """Unix time."""


class S3Stream(OpenBlob):
    """Bytes of an object, coming in. Iterate once; always close it."""

    def __init__(
        self, location: S3Location, info: ObjectInfo, body: Any, *, on_close: Callable[[], None]
    ) -> None:
        """`info.size` is the number of bytes that come: those of the range that was asked for."""
        self.info = info
        self.size = info.size
        self.path: Path | None = None
        self._location = location
        self._body = body
        self._on_close: Callable[[], None] | None = on_close

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        async with self:
            left = self.size
            while chunk := await self._read():
                left -= len(chunk)
                yield chunk
            if left:
                raise BlobStoreUnavailable(f"{self.info.key} ended {left} bytes early")

    async def close(self) -> None:
        """Drop what has not been read, with its connection. May be repeated."""
        self._body.close()
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()

    async def _read(self) -> bytes:
        try:
            return bytes(await self._body.read(READ_BYTES))
        except BotoCoreError as exc:
            raise blob_store_error(exc, self._location) from exc
        except Exception as exc:  # aiobotocore lets some errors of its HTTP client through.
            raise BlobStoreUnavailable(f"{self.info.key} was cut off: {exc}") from exc
