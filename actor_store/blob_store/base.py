"""The interface of a store for blobs' bytes.

A blob is first *temporary*: its bytes are stored under a random key until a record refers to
them. Then it is made *permanent* under its CID. A taken-down blob is moved into *quarantine*. The
state of each blob is in the actor's database (`actor_store.blobs`); a blob store knows only bytes.

The order ensures that a crash leaves garbage but never a dangling reference: bytes are made
permanent before the transaction that refers to them, and deleted after the transaction that drops
the last reference.

Errors::

    BlobStoreError
    ├── BlobTooLarge            the upload is longer than allowed
    ├── BlobStoreFull           the disk, bucket or quota is full
    ├── BlobStoreUnavailable    the store does not answer, or fails; it may soon work again
    ├── BlobStoreMisconfigured  the store refuses this server: a setting or permission is wrong
    ├── BlobFileMissing         no bytes are stored under that key or CID
    ├── BlobObjectMissing       a bucket has no object of that key
    ├── BlobObjectChanged       an object of a bucket is not the one that was to be replaced
    ├── InvalidBlobRange        the blob has no bytes in the range that was asked for
    ├── BlobUploadMissing       there is no such multipart upload, or it has ended
    ├── BlobPartsRefused        the parts of a multipart upload make no object
    └── InvalidBlobName         a DID or key that cannot name a blob
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

from repo.cid import Cid

HEAD_BYTES: Final = 4096
"""How many of an upload's first bytes are kept for recognising its media type."""


class BlobStoreError(Exception):
    """A blob's bytes could not be stored or found."""


class BlobTooLarge(BlobStoreError):
    """The upload is larger than `max_bytes`; nothing of it was stored."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__(f"blob is larger than {max_bytes} bytes")
        self.max_bytes = max_bytes


class BlobStoreFull(BlobStoreError):
    """The disk, bucket or quota is full; nothing of the blob was stored."""


class BlobStoreUnavailable(BlobStoreError):
    """The store does not answer, or fails, although the call was repeated; it may soon work."""

    retry_after_s = 5
    """When a client may try again."""


class BlobStoreMisconfigured(BlobStoreError):
    """The store refuses this server until the operator changes something: `remedy`."""

    retry_after_s = 60
    """When a client may try again: credentials are renewed, clocks and settings corrected."""

    def __init__(self, problem: str, remedy: str) -> None:
        super().__init__(f"{problem}: {remedy}")
        self.problem = problem
        self.remedy = remedy


class BlobFileMissing(BlobStoreError):
    """The store has no bytes for this blob of this account."""

    def __init__(self, did: str, name: str) -> None:
        super().__init__(f"no bytes are stored for blob {name} of {did}")
        self.did = did
        self.name = name


class BlobObjectMissing(BlobStoreError):
    """The bucket has no object of that key."""


class BlobObjectChanged(BlobStoreError):
    """Another writer has made, replaced or deleted the object."""


class InvalidBlobRange(BlobStoreError):
    """The range begins after the end of the blob."""


class BlobUploadMissing(BlobStoreError):
    """The multipart upload is unknown: it was completed, aborted or never begun."""


class BlobPartsRefused(BlobStoreError):
    """A part is missing, has another ETag, is too small, or is out of order."""


class InvalidBlobName(BlobStoreError, ValueError):
    """The text is not a DID or a temporary key, so it may not become part of a path."""


@dataclass(slots=True, frozen=True)
class TempBlob:
    """A finished upload that no record refers to yet."""

    key: str
    """The random key of the temporary bytes, as in the `tempKey` column."""
    cid: Cid
    size: int
    """Length in bytes."""
    head: bytes
    """The first `HEAD_BYTES` bytes, or all of a shorter blob."""


class OpenBlob(Protocol):
    """A permanent blob opened for reading. Iterate once for its bytes; always close it."""

    size: int
    """Length in bytes."""
    path: Path | None
    """The file, if the server may send it directly (`sendfile`)."""

    def __aiter__(self) -> AsyncGenerator[bytes, None]: ...

    async def close(self) -> None:
        """Release what is held for reading. May be repeated."""
        ...

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


class BlobStore(Protocol):
    """Stores the bytes of every account's blobs. Each method may raise `InvalidBlobName`."""

    async def put_temp(self, did: str, chunks: AsyncIterable[bytes], *, max_bytes: int) -> TempBlob:
        """Store an upload under a new temporary key, hashing it as it arrives.

        An error or cancellation leaves nothing of the upload. Raises `BlobTooLarge` as soon as more
        than `max_bytes` have arrived, `BlobStoreFull`, and any exception from `chunks`.
        """
        ...

    async def make_permanent(self, did: str, key: str, cid: Cid) -> None:
        """Move temporary bytes to their CID. Raises `BlobFileMissing` if they are gone.

        May be repeated: if permanent bytes already exist, it succeeds and discards the temporary
        ones.
        """
        ...

    async def discard_temp(self, did: str, key: str) -> None:
        """Delete temporary bytes; missing ones are ignored."""
        ...

    async def make_temporary(self, did: str, key: str, cid: Cid) -> None:
        """Undo `make_permanent`. Missing bytes are ignored."""
        ...

    async def list_temp(self, did: str, *, before_s: float) -> list[str]:
        """Return the keys of temporary bytes last written before a Unix time, in no order."""
        ...

    async def list_temp_dids(self) -> list[str]:
        """Return the DIDs that may have temporary bytes."""
        ...

    async def open(self, did: str, cid: Cid) -> OpenBlob:
        """Open permanent bytes for reading. Raises `BlobFileMissing`."""
        ...

    async def delete(self, did: str, cids: Iterable[Cid]) -> None:
        """Delete permanent bytes; missing ones are ignored."""
        ...

    async def delete_all(self, did: str) -> None:
        """Delete all of an account's bytes: permanent, temporary and in quarantine."""
        ...

    async def quarantine(self, did: str, cid: Cid) -> None:
        """Move permanent bytes into quarantine; missing ones are ignored."""
        ...

    async def unquarantine(self, did: str, cid: Cid) -> None:
        """Move quarantined bytes back; missing ones are ignored."""
        ...

    async def close(self) -> None:
        """Release connections and handles. May be repeated."""
        ...


def new_temp_key() -> str:
    """Return a new key for temporary bytes: 32 random bytes in unpadded lower-case base32."""
    return base64.b32encode(secrets.token_bytes(32)).decode().rstrip("=").lower()
