"""What moves when all blobs move: the interface of a kind of blobs, and those of accounts.

A room further up may have blobs of its own, such as a hold its layers, and adds them to
`AppContext.more_blobs`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from actor_store.blob_store.base import BlobStoreError
from actor_store.blob_store.move_blob import move_blob
from actor_store.blob_store.move_steps import Outcome
from actor_store.blob_store.moving import COPIES_AT_ONCE
from actor_store.blob_store.places import Place

if TYPE_CHECKING:
    from actor_store.blob_store.move_steps import Pace
    from actor_store.blob_store.moving import MovingBlobStore
    from actor_store.blob_store.places import PlacedBlob
    from repo.cid import Cid


class FoundBlob(Protocol):
    """A blob in the old store."""

    @property
    def did(self) -> str:
        """Whose it is."""
        ...

    @property
    def name(self) -> str:
        """What names it, for its owner and place."""
        ...

    @property
    def place(self) -> str:
        """Where in the store it lies, in a word."""
        ...

    @property
    def size(self) -> int:
        """Length in bytes."""
        ...


Found = TypeVar("Found", bound=FoundBlob)


class Mover(Protocol[Found]):
    """Moves one kind of blobs from an old store to a new one."""

    at_once: int
    """How many are moved at a time."""

    def pages(self, limit: int) -> AsyncIterator[Sequence[Found]]:
        """Iterate over all that is in the old store, at most `limit` at a time.

        Raises `BlobStoreError` and `OSError`.
        """
        ...

    async def move(self, blob: Found, pace: Pace) -> Outcome:
        """Move one of them, as `move_blob` does; raises what that raises."""
        ...


class MoreBlobs(Protocol):
    """Blobs that belong to no account."""

    place: str
    """A word for all of them, as `FoundBlob.place` has it."""

    @property
    def mover(self) -> Mover[Any] | None:
        """What moves them; None if there is only one place for blobs."""
        ...

    async def list_sizes(
        self, *, is_old: bool, after: str, limit: int
    ) -> Sequence[tuple[str, int]]:
        """Return names and sizes of what follows the name `after`, in the order of names.

        Of two stores, it is the old one that counts if `is_old`.
        """
        ...


class AccountMover:
    """Moves the blobs of all accounts."""

    at_once = COPIES_AT_ONCE

    def __init__(
        self,
        store: MovingBlobStore,
        find_upload: Callable[[str, str], Awaitable[Cid | None]],
    ) -> None:
        """`find_upload` returns the CID of temporary bytes by DID and key, if it is known."""
        self._store = store
        self._find_upload = find_upload

    async def pages(self, limit: int) -> AsyncIterator[Sequence[PlacedBlob]]:
        """See `Mover.pages`."""
        for place in Place:
            cursor = ""
            while page := await self._store.old.places.list_blobs(place, after=cursor, limit=limit):
                cursor = page[-1].cursor
                yield page

    async def move(self, blob: PlacedBlob, pace: Pace) -> Outcome:
        """See `Mover.move`."""
        try:
            cid = blob.cid or await self._find_upload(blob.did, blob.name)
        except BlobStoreError:
            cid = None  # It has no CID for a name, which `move_blob` tells.
        return await move_blob(self._store, blob, cid=cid, pace=pace)
