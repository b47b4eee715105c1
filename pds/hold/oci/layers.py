"""The blobs of images among all blobs of a server, to count them and to move them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from actor_store.blob_store.move_steps import Outcome
from pds.hold.oci.move_layer import move_layer
from pds.hold.oci.moving import MovingOciStorage
from pds.hold.oci.storage import StoredBlob

if TYPE_CHECKING:
    from actor_store.blob_store.move_steps import Pace
    from pds.hold.oci.finishing import Finisher
    from pds.hold.oci.storage import OciStorage
    from pds.hold.oci.upload_rows import Upload, UploadRows
    from pds.hold.oci.uploads import Uploads

PLACE: Final = "layers"
_COPIES_AT_ONCE: Final = 4
"""Layers are large, and for each a part of at least 8 MiB is in memory."""
_FINISHING_S: Final = 1.0
"""How long one look waits for an upload that is still being checked."""


@dataclass(slots=True, frozen=True)
class Layer:
    """A blob in the old store, or an upload there that is about to become one."""

    did: str
    """The hold's."""
    blob: StoredBlob
    is_upload: bool = False

    @property
    def name(self) -> str:
        """Its digest."""
        return self.blob.digest

    @property
    def place(self) -> str:
        """Where it lies, beside the places of accounts' blobs."""
        return "uploads of layers" if self.is_upload else PLACE

    @property
    def size(self) -> int:
        """Length in bytes."""
        return self.blob.size_bytes


class Layers:
    """All layers of a hold; a `MoreBlobs`."""

    place = PLACE

    def __init__(
        self,
        hold_did: str,
        storage: OciStorage | MovingOciStorage,
        rows: UploadRows,
        uploads: Uploads,
        finisher: Finisher,
    ) -> None:
        self._storage = storage
        self.mover: LayerMover | None = None
        if isinstance(storage, MovingOciStorage):
            self.mover = LayerMover(hold_did, storage, rows, uploads, finisher)

    async def list_sizes(
        self, *, is_old: bool, after: str, limit: int
    ) -> Sequence[tuple[str, int]]:
        """See `MoreBlobs.list_sizes`."""
        storage: OciStorage = self._storage
        if isinstance(storage, MovingOciStorage):
            storage = storage.old if is_old else storage.new
        return [(blob.digest, blob.size_bytes) for blob in await _page(storage, after, limit)]


class LayerMover:
    """Moves all layers of a hold; a `Mover`."""

    at_once = _COPIES_AT_ONCE

    def __init__(
        self,
        hold_did: str,
        storage: MovingOciStorage,
        rows: UploadRows,
        uploads: Uploads,
        finisher: Finisher,
    ) -> None:
        self._hold_did = hold_did
        self._storage = storage
        self._rows = rows
        self._uploads = uploads
        self._finisher = finisher

    async def pages(self, limit: int) -> AsyncIterator[Sequence[Layer]]:
        """See `Mover.pages`. Clears the old store of what uploads have left, after all layers."""
        after = ""
        while blobs := await _page(self._storage.old, after, limit):
            yield [Layer(self._hold_did, blob) for blob in blobs]
            after = blobs[-1].digest
        for upload in await self._in_old(self._rows.list_open()):
            # It takes no more parts, and its client was or will be told so.
            await self._uploads.expire(upload)
        checking = await self._in_old(self._rows.list_checking())
        if checking:
            yield [
                Layer(self._hold_did, StoredBlob(upload.digest, upload.size_bytes, 0), True)
                for upload in checking
                if upload.digest is not None
            ]
            return
        # No upload begins in the old store, so nothing there is under way.
        async for leftover in self._storage.old.list_leftovers():
            await self._storage.old.drop_leftover(leftover)

    async def move(self, layer: Layer, pace: Pace) -> Outcome:
        """See `Mover.move`."""
        if not layer.is_upload:
            return await move_layer(self._storage, layer.blob, pace=pace)
        # It is a blob of the old store when it is finished, and moves at the next look.
        await self._finisher.wait(layer.blob.digest, seconds=_FINISHING_S)
        return Outcome.IN_USE

    async def _in_old(self, uploads: Sequence[Upload]) -> list[Upload]:
        old = self._storage.old
        return [upload for upload in uploads if await old.owns(upload.id, upload.storage_id)]


async def _page(storage: OciStorage, after: str, limit: int) -> list[StoredBlob]:
    blobs: list[StoredBlob] = []
    async with aclosing(storage.list(after)) as listing:
        async for blob in listing:
            blobs.append(blob)
            if len(blobs) == limit:
                break
    return blobs
