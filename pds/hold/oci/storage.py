"""The interface of a store for the bytes of images, on disk or on S3.

An upload is a place of its own until its bytes are put together (`join`), checked, and moved under
their digest (`keep`). So whatever can be seen under a digest is complete and, where the settings
ask for it, has been checked; a crash at any point leaves an upload, which may be joined and kept
again, or is discarded when it is old.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from actor_store.blob_store.move_steps import Arrived
from pds.hold.oci.digest import Digest

MAX_PARTS: Final = 10_000
MAX_PART_BYTES: Final = 5 * 1024**3
"""Both are limits of S3."""


@dataclass(frozen=True, slots=True)
class PartUrl:
    """Where a client sends a part of an upload."""

    url: str
    method: str = "PUT"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StoredBlob:
    """A blob that is complete and has its final name."""

    digest: Digest
    size_bytes: int
    stored_at_s: float
    """Unix seconds."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an upload as the client reports it; the ETag may lack its quotes."""

    number: int
    etag: str


@dataclass(frozen=True, slots=True)
class Leftover:
    """An unfinished upload, or the rest of a finished one, that the store still has."""

    upload_id: str | None
    """The hold's own id; None if this is something else, such as an interrupted copy."""
    begun_s: float
    """Unix seconds."""
    key: str = ""
    storage_id: str = ""
    is_old: bool = False
    """Whether it is in the old one of two stores."""


class OciStorage(Protocol):
    """Stores bytes by digest. Every method may raise `BlobStoreError`s.

    An upload has an `upload_id`, which the hold makes up, and a `storage_id`, by which the store
    knows it and which `begin` returns.
    """

    async def find(self, digest: Digest) -> StoredBlob | None:
        """Return a stored blob."""
        ...

    async def presign(self, digest: Digest, method: str) -> str | None:
        """Return a URL for GET or HEAD of a stored blob; None if this server sends the bytes."""
        ...

    def read(self, digest: Digest, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """Iterate over the bytes of a stored blob from `start` up to but not including `end`.

        Raises `BlobNotFound`.
        """
        ...

    async def begin(self, upload_id: str) -> str:
        """Begin an upload; return its `storage_id`, empty if parts come through this server."""
        ...

    async def owns(self, upload_id: str, storage_id: str) -> bool:
        """Whether an upload was begun in this store, as far as the store can tell."""
        ...

    async def part_url(self, upload_id: str, storage_id: str, number: int) -> PartUrl | None:
        """Return where to send a part; None if to this server. May raise `UploadNotFound`."""
        ...

    async def write_part(
        self, upload_id: str, storage_id: str, number: int, chunks: AsyncIterable[bytes]
    ) -> str:
        """Store a part, and return its ETag.

        A second part of the same number replaces the first. An error leaves nothing of the part.
        Raises `PartTooLarge`, what `chunks` raises, and `UploadNotFound` if the parts of this
        upload go elsewhere.
        """
        ...

    async def join(self, upload_id: str, storage_id: str, parts: Sequence[Part]) -> int:
        """Settle the parts, which are in order of their numbers; return their size in bytes.

        No part comes after that. May be repeated after a failure or crash. Raises `MissingParts`
        and `PartsRefused`, after which the upload is as before, and `UploadNotFound`.
        """
        ...

    async def measure(self, upload_id: str, storage_id: str) -> Digest:
        """Read a joined upload, and return the digest of its bytes. May take minutes.

        May be repeated after a failure or crash. Raises `UploadNotFound`.
        """
        ...

    async def keep(self, upload_id: str, storage_id: str, digest: Digest, size_bytes: int) -> None:
        """Make a joined upload visible under its digest. Raises `UploadNotFound`.

        If its parts came through this server, it has been measured.
        """
        ...

    async def discard(self, upload_id: str, storage_id: str) -> None:
        """Drop an upload with all its bytes; a missing one is ignored."""
        ...

    async def receive(
        self, digest: Digest, size_bytes: int, chunks: AsyncIterable[bytes]
    ) -> Arrived:
        """Take in a blob from another store, hashing it on the way.

        An error leaves nothing of it. Raises `DigestMismatch`, and what `chunks` raises.
        """
        ...

    async def delete(self, digests: Sequence[Digest]) -> None:
        """Delete stored blobs; missing ones are ignored."""
        ...

    def list(self, after: str = "") -> AsyncGenerator[StoredBlob, None]:
        """Iterate over the stored blobs in order of their digests, beginning after `after`."""
        ...

    def list_leftovers(self) -> AsyncIterator[Leftover]:
        """Iterate over what uploads have left, including those that are under way."""
        ...

    async def drop_leftover(self, leftover: Leftover) -> None:
        """Delete it; a missing one is ignored."""
        ...

    async def close(self) -> None:
        """Release connections, and stop what runs in threads. May be repeated."""
        ...
