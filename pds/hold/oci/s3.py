"""Blobs of images on S3, where clients send and fetch the bytes by presigned URLs.

::

    <prefix>uploads/temp-<id>/data    an upload: a multipart upload first, then an object

Every upload has a key of its own and is copied to that of its digest at the end, also where the
client tells the digest at the beginning: a multipart upload that is completed is visible at once,
and would take the place of a good blob before anybody has looked at its bytes.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import suppress
from typing import Final

from cachetools import TTLCache

from actor_store.blob_store.base import BlobPartsRefused, BlobUploadMissing
from actor_store.blob_store.s3_bucket import S3Bucket
from actor_store.blob_store.s3_objects import S3Part
from actor_store.blob_store.s3_uploads import MIN_PART_BYTES
from pds.hold.oci.digest import Digest, digest_of
from pds.hold.oci.errors import MissingParts, PartsRefused, UploadNotFound
from pds.hold.oci.s3_blobs import S3Blobs
from pds.hold.oci.storage import Leftover, Part, PartUrl

URL_S: Final = 15 * 60
"""How long a presigned URL works."""
_SAME_URL_S: Final = 30.0
"""How long one URL is given to all who ask. Signing takes a quarter of the time of a request, and
many pull one image at the same time."""
_URLS: Final = 10_000
_HASHED_BYTES: Final = 1024 * 1024
"""So many are worth a hop to a thread."""


class S3OciStorage(S3Blobs):
    """An `OciStorage` in a bucket that clients reach themselves."""

    def __init__(self, bucket: S3Bucket, prefix: str) -> None:
        """Use the keys that begin with `prefix`, and close the bucket at the end."""
        super().__init__(bucket, prefix)
        self._urls: TTLCache[tuple[Digest, str], str] = TTLCache(_URLS, _SAME_URL_S)
        self._uploads = f"{prefix}uploads/"
        self._upload_key = re.compile(re.escape(self._uploads) + "temp-([0-9a-f]{32})/data")

    async def presign(self, digest: Digest, method: str) -> str:
        """See `OciStorage.presign`."""
        url = self._urls.get((digest, method))
        if url is None:
            url = await self._bucket.presign_download(
                self.blob_key(digest), expires_s=URL_S, method=method
            )
            self._urls[digest, method] = url
        return url

    async def begin(self, upload_id: str) -> str:
        """See `OciStorage.begin`."""
        return await self._bucket.uploads.create(self._key(upload_id))

    async def owns(self, _upload_id: str, storage_id: str) -> bool:
        """See `OciStorage.owns`."""
        return bool(storage_id)

    async def part_url(self, upload_id: str, storage_id: str, number: int) -> PartUrl:
        """See `OciStorage.part_url`."""
        query = {"partNumber": str(number), "uploadId": storage_id}
        return PartUrl(
            await self._bucket.presign("PUT", self._key(upload_id), expires_s=URL_S, query=query)
        )

    async def write_part(
        self, _upload_id: str, _storage_id: str, _number: int, _chunks: AsyncIterable[bytes]
    ) -> str:
        """Raise `UploadNotFound`: parts go to S3."""
        raise UploadNotFound

    async def join(self, upload_id: str, storage_id: str, parts: Sequence[Part]) -> int:
        """See `OciStorage.join`."""
        key, uploads = self._key(upload_id), self._bucket.uploads
        try:
            # Asked first, because not every server compares the ETags, and none says which part.
            arrived = await uploads.list_parts(key, storage_id)
            chosen = _choose(parts, arrived)
            size = sum(part.size for part in chosen)
            if size:
                await uploads.complete(key, storage_id, chosen)
            else:
                await self._put_empty(key, storage_id)
        except BlobPartsRefused as exc:
            raise PartsRefused(str(exc)) from exc
        except BlobUploadMissing as exc:
            # An earlier call has completed it, and its caller did not hear of it.
            info = await self._bucket.head(key)
            if info is None:
                raise UploadNotFound from exc
            size = info.size
        return size

    async def measure(self, upload_id: str, _storage_id: str) -> Digest:
        """See `OciStorage.measure`. Hashes in a thread while the next bytes arrive."""
        stream = await self._bucket.get(self._key(upload_id))
        if stream is None:
            raise UploadNotFound
        sha256 = hashlib.sha256()
        batch = bytearray()
        hashing: asyncio.Future[None] | None = None
        async with stream:
            async for chunk in stream:
                batch += chunk
                if len(batch) >= _HASHED_BYTES:
                    if hashing is not None:
                        await hashing
                    hashing = asyncio.ensure_future(asyncio.to_thread(sha256.update, batch))
                    batch = bytearray()
        if hashing is not None:
            await hashing
        sha256.update(batch)
        return digest_of(sha256.digest())

    async def keep(self, upload_id: str, _storage_id: str, digest: Digest, size_bytes: int) -> None:
        """See `OciStorage.keep`."""
        copied = await self._bucket.copy(
            self._key(upload_id), self.blob_key(digest), size=size_bytes
        )
        if not copied:
            raise UploadNotFound

    async def discard(self, upload_id: str, storage_id: str) -> None:
        """See `OciStorage.discard`."""
        key = self._key(upload_id)
        if storage_id:
            with suppress(BlobUploadMissing):
                await self._bucket.uploads.abort(key, storage_id)
        await self._bucket.delete([key])

    async def list_leftovers(self) -> AsyncIterator[Leftover]:
        """See `OciStorage.list_leftovers`. An interrupted copy leaves a multipart upload, too."""
        async for info in self._bucket.list(self._uploads):
            upload_id = self._id_of(info.key)
            if upload_id is not None:
                yield Leftover(upload_id, info.last_modified_s, info.key)
        async for upload in self._bucket.uploads.list(self._uploads):
            yield Leftover(self._id_of(upload.key), upload.begun_s, upload.key, upload.upload_id)
        async for leftover in self.list_interrupted():
            yield leftover

    async def drop_leftover(self, leftover: Leftover) -> None:
        """See `OciStorage.drop_leftover`."""
        if leftover.storage_id:
            await self.drop_interrupted(leftover)
        else:
            await self._bucket.delete([leftover.key])

    async def close(self) -> None:
        """See `OciStorage.close`."""
        await self._bucket.close()

    async def _put_empty(self, key: str, storage_id: str) -> None:
        """Make an empty object, of which not every server makes one by parts."""
        await self._bucket.put(key, b"")
        await self._bucket.uploads.abort(key, storage_id)

    def _key(self, upload_id: str) -> str:
        return f"{self._uploads}temp-{upload_id}/data"

    def _id_of(self, key: str) -> str | None:
        match = self._upload_key.fullmatch(key)
        return None if match is None else match[1]


def _choose(parts: Sequence[Part], arrived: Sequence[S3Part]) -> list[S3Part]:
    """Return the arrived parts that are named. Raises `MissingParts` and `PartsRefused`."""
    # Some servers keep a part that was replaced, and list both.
    by_name = {(part.number, part.etag.strip('"')): part for part in arrived}
    chosen: list[S3Part] = []
    missing: list[int] = []
    for named in parts:
        found = by_name.get((named.number, named.etag.strip('"')))
        if found is None:
            missing.append(named.number)
        else:
            chosen.append(found)
    if missing:
        raise MissingParts(missing)
    small = [part.number for part in chosen[:-1] if part.size < MIN_PART_BYTES]
    if small:
        raise PartsRefused(
            f"part {small[0]} has fewer than {MIN_PART_BYTES} bytes, as only the last may"
        )
    return chosen
