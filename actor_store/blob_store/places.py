"""The places in which a store keeps bytes, to list them and to move them to another store.

`BlobStore` serves one account at a time and asks for bytes by name. Moving everything to another
store needs more: listing what is there, and reading and writing every place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from actor_store.blob_store.base import BlobStore, InvalidBlobName, OpenBlob
from actor_store.blob_store.names import checked_did, checked_temp_key
from repo.cid import Cid, InvalidCid


class Place(StrEnum):
    """What is known of bytes by where they lie."""

    TEMPORARY = "temporary"
    """Uploads that no record refers to yet, by key."""
    PERMANENT = "permanent"
    """Blobs of records, by CID."""
    QUARANTINED = "quarantined"
    """Blobs that were taken down, by CID."""


@dataclass(slots=True, frozen=True)
class PlacedBlob:
    """Bytes in a store. A listing may give names that no blob has: see `check_name`."""

    place: Place
    did: str
    name: str
    """The CID, or the key of temporary bytes."""
    size: int
    """Length in bytes."""

    @property
    def cursor(self) -> str:
        """Where a listing goes on after this."""
        return f"{self.did}/{self.name}"

    @property
    def cid(self) -> Cid | None:
        """The CID that names the bytes; None for temporary ones. Raises `InvalidBlobName`."""
        if self.place is Place.TEMPORARY:
            return None
        try:
            return Cid.parse(self.name)
        except InvalidCid as exc:
            raise InvalidBlobName(str(exc)) from exc

    def check_name(self) -> None:
        """Raise `InvalidBlobName` if this server would not give bytes such a name."""
        checked_did(self.did)
        if self.cid is None:
            checked_temp_key(self.name)


class BlobPlaces(Protocol):
    """All bytes of a store. The methods with a blob raise `InvalidBlobName`."""

    async def list_blobs(
        self, place: Place, *, after: str = "", limit: int
    ) -> Sequence[PlacedBlob]:
        """Return at most `limit` of the bytes in a place, beginning after the cursor `after`.

        The order is the store's. Only the last page is empty. Bytes that come and go meanwhile may
        be left out.
        """
        ...

    async def find_size(self, blob: PlacedBlob) -> int | None:
        """Return how many bytes lie there now; None if there are none."""
        ...

    async def open(self, blob: PlacedBlob) -> OpenBlob:
        """Open bytes for reading. Raises `BlobFileMissing`."""
        ...

    async def put(self, blob: PlacedBlob, *, key: str) -> None:
        """Move the account's temporary bytes `key` to where `blob` lies, replacing what is there.

        Raises `BlobFileMissing`.
        """
        ...

    async def remove(self, blob: PlacedBlob) -> None:
        """Delete bytes; missing ones are ignored."""
        ...


class MovableStore(BlobStore, Protocol):
    """A store whose bytes can be moved to another, and the other way round."""

    @property
    def places(self) -> BlobPlaces: ...
