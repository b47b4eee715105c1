"""Uploads of blobs: begun, filled with parts, completed or aborted by one DID."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterable, Callable, Sequence
from itertools import pairwise
from typing import Final

from actor_store.keyed_locks import KeyedLocks
from pds.fairness.turns import Turns
from pds.hold.oci.blobs import Blobs
from pds.hold.oci.digest import Digest, digest_of_nothing
from pds.hold.oci.errors import (
    DigestMismatch,
    InvalidPartNumber,
    MissingParts,
    PartsRefused,
    UploadNotFound,
)
from pds.hold.oci.finishing import Finisher
from pds.hold.oci.storage import MAX_PARTS, OciStorage, Part, PartUrl
from pds.hold.oci.upload_rows import Upload, UploadRows, UploadState

WAIT_S: Final = 30.0
"""How long a completion waits for the check of its digest: proxies and clients have no more
patience than a minute or so."""
_PARTS: Final = 64
_PARTS_EACH: Final = 16
"""Parts that come in through this server at a time, in total and from one DID."""
PART_PATH: Final = "/xrpc/io.atcr.hold.uploadPart"
UPLOAD_HEADER: Final = "X-Upload-Id"
NUMBER_HEADER: Final = "X-Part-Number"


class Uploads:
    """The uploads of a hold. Methods raise `OciError`s, `BlobStoreError`s, `DatabaseError`s."""

    def __init__(
        self,
        storage: OciStorage,
        blobs: Blobs,
        rows: UploadRows,
        finisher: Finisher,
        *,
        url: str,
        clock: Callable[[], float] = time.time,
        wait_s: float = WAIT_S,
    ) -> None:
        """`url` is the hold's own, to which parts come if they do not go to the store."""
        self._storage = storage
        self._blobs = blobs
        self._rows = rows
        self._finisher = finisher
        self._url = url
        self._clock = clock
        self._wait_s = wait_s
        self._locks = KeyedLocks()
        self._receiving = Turns(
            "parts of uploads",
            at_once=_PARTS,
            each=_PARTS_EACH,
            waiting=4 * _PARTS,
            waiting_each=4 * _PARTS_EACH,
            wait_s=30.0,
        )

    async def begin(self, did: str) -> str:
        """Begin an upload, and return its id. Raises `TooManyUploads`, `HoldFull`."""
        upload_id = secrets.token_hex(16)
        # The row comes first: an upload that only the store knew would not be counted.
        await self._rows.add(upload_id, did, now_ms=self._now_ms())
        try:
            storage_id = await self._storage.begin(upload_id)
        except BaseException:
            await self._rows.remove(upload_id)
            raise
        await self._rows.set_storage_id(upload_id, storage_id)
        return upload_id

    async def part_url(self, upload_id: str, did: str, number: int) -> PartUrl:
        """Return where to send a part. Raises `UploadNotFound`, `InvalidPartNumber`."""
        _check_number(number)
        upload = self._open(upload_id, did)
        url = await self._storage.part_url(upload_id, upload.storage_id, number)
        if url is None:
            headers = {UPLOAD_HEADER: upload_id, NUMBER_HEADER: str(number)}
            url = PartUrl(self._url + PART_PATH, headers=headers)
        return url

    async def write_part(
        self, upload_id: str, did: str, number: int, chunks: AsyncIterable[bytes]
    ) -> str:
        """Store a part, and return its ETag.

        Raises `PartTooLarge`, `TooBusy`, and what `part_url` and `chunks` raise.
        """
        _check_number(number)
        storage_id = self._open(upload_id, did).storage_id
        async with self._receiving.turn(did):
            etag = await self._storage.write_part(upload_id, storage_id, number, chunks)
        upload = self._rows.find(upload_id)
        if upload is not None and upload.state is UploadState.OPEN:
            return etag
        if upload is None or upload.state is not UploadState.CHECKING:
            # It has ended meanwhile, and the part would stay.
            await self._storage.discard(upload_id, storage_id)
        raise UploadNotFound

    async def complete(
        self, upload_id: str, did: str, digest: Digest, parts: Sequence[Part]
    ) -> None:
        """Make a blob of the parts, in the order of their numbers.

        May be repeated when the answer was lost. Returns when the blob can be read or, if checking
        its digest takes long, when nothing but a wrong digest can keep it from that. Raises
        `DigestMismatch`, after which the upload has ended, and `UploadNotFound`, `MissingParts`,
        `PartsRefused` and `InvalidPartNumber`, which change nothing.
        """
        chosen = _in_order(parts)
        async with self._locks[upload_id]:
            upload = self._own(upload_id, did)
            if upload.state is UploadState.OPEN:
                upload = await self._join(upload, digest, chosen)
        if upload.digest != digest:
            raise UploadNotFound
        if upload.state is UploadState.REFUSED:
            raise DigestMismatch(digest)
        if upload.state is UploadState.CHECKING:
            finishing = self._finisher.start(upload, digest)
            done, _ = await asyncio.wait({finishing}, timeout=self._wait_s)
            if done:
                finishing.result()

    async def abort(self, upload_id: str, did: str) -> None:
        """Discard an unfinished upload. Raises `UploadNotFound`."""
        async with self._locks[upload_id]:
            await self._drop(self._open(upload_id, did))

    async def expire(self, upload: Upload) -> None:
        """Forget an upload that nothing has happened to for a day, and discard what it left."""
        async with self._locks[upload.id]:
            if self._rows.find(upload.id) == upload:
                await self._drop(upload)

    async def _drop(self, upload: Upload) -> None:
        await self._storage.discard(upload.id, upload.storage_id)
        await self._rows.remove(upload.id)
        if upload.came_here:
            # Again, for a part that arrived in between and found its upload open.
            await self._storage.discard(upload.id, upload.storage_id)

    async def _join(self, upload: Upload, digest: Digest, parts: Sequence[Part]) -> Upload:
        if not parts and digest != digest_of_nothing():
            raise MissingParts
        async with self._blobs.wanted(digest):
            blob = await self._blobs.look(digest)
            if blob is not None:
                # Stored already, and checked then. This upload is not needed.
                await self._finisher.settle(upload, blob)
                return self._own(upload.id, upload.did)
        size_bytes = await self._storage.join(upload.id, upload.storage_id, parts)
        await self._rows.set_joined(upload.id, digest, size_bytes, now_ms=self._now_ms())
        return self._own(upload.id, upload.did)

    def _open(self, upload_id: str, did: str) -> Upload:
        upload = self._own(upload_id, did)
        if upload.state is not UploadState.OPEN:
            raise UploadNotFound
        return upload

    def _own(self, upload_id: str, did: str) -> Upload:
        upload = self._rows.find(upload_id)
        if upload is None or upload.did != did:
            raise UploadNotFound
        return upload

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)


def _check_number(number: int) -> None:
    if not 1 <= number <= MAX_PARTS:
        raise InvalidPartNumber


def _in_order(parts: Sequence[Part]) -> list[Part]:
    for part in parts:
        _check_number(part.number)
    chosen = sorted(parts, key=lambda part: part.number)
    for part, following in pairwise(chosen):
        if part.number == following.number:
            raise PartsRefused(f"part {part.number} is named twice")
    return chosen
