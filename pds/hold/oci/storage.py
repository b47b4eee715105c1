"""The interface of a store for the bytes of images, on disk or on S3."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pds.hold.oci.digest import Digest


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


class OciStorage(Protocol):
    """Stores bytes by digest. Methods raise `BlobStoreError`s."""

    @property
    def presigns(self) -> bool:
        """Whether clients send and fetch bytes elsewhere than from this server."""
        ...

    async def find(self, digest: Digest) -> StoredBlob | None:
        """Return a stored blob."""
        ...

    async def presign(self, digest: Digest, method: str) -> str:
        """Return a URL for GET or HEAD of a stored blob; only if `presigns`."""
        ...

    def read(self, digest: Digest, start: int, end: int) -> AsyncIterator[bytes]:
        """Iterate over the bytes from `start` up to but not including `end`."""
        ...

    async def begin(self, upload_id: str, digest: Digest | None) -> tuple[str, str]:
        """Begin an upload; return the key and the id by which the store knows it."""
        ...

    async def part_url(self, key: str, storage_id: str, number: int) -> PartUrl:
        """Return where to send a part; only if `presigns`."""
        ...

    async def write_part(
        self, key: str, storage_id: str, number: int, chunks: AsyncIterable[bytes]
    ) -> str:
        """Store a part that passes through this server, and return its ETag."""
        ...

    async def complete(
        self, key: str, storage_id: str, parts: Sequence[Part], digest: Digest
    ) -> StoredBlob:
        """Put the parts together under their digest.

        Nothing is visible under the digest before all is there, and checked as the settings ask.
        Raises `MissingParts`, and `DigestMismatch` after discarding the bytes.
        """
        ...

    async def abort(self, key: str, storage_id: str) -> None:
        """Discard an upload; a missing one is ignored."""
        ...

    async def delete(self, digests: Sequence[Digest]) -> None:
        """Delete stored blobs; missing ones are ignored."""
        ...

    def list(self) -> AsyncIterator[StoredBlob]:
        """Iterate over all stored blobs."""
        ...

    async def close(self) -> None:
        """Release connections. May be repeated."""
        ...
