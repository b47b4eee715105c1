"""Blobs in an S3 bucket: whether the object of every permanent row exists and matches its CID.

The objects of each account are listed, which takes one or two calls, and compared with its rows.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Final

from actor_store.blob_store.base import BlobStoreError
from actor_store.blob_store.s3 import PERMANENT, QUARANTINE
from actor_store.blob_store.s3_bucket import S3Bucket
from actor_store.blob_store.s3_errors import explain
from actor_store.blob_store.s3_location import S3Location
from database.errors import DatabaseError
from pds.doctor.actor import ActorFiles
from pds.doctor.blobs import CHECK, BlobFaults, BlobRow, findings, is_content_of, read_rows
from pds.doctor.finding import Finding
from pds.doctor.inspection import examine_unchanged
from pds.reporting import Progress, counted

_AT_ONCE: Final = 8
"""Accounts whose objects are listed at a time."""


def check_bucket(
    location: S3Location, actors: Sequence[ActorFiles], *, rehash: bool, progress: Progress
) -> list[Finding]:
    """Compare the rows of all actors with the objects in the bucket; with `rehash`, read these.

    A server that runs may add and delete blobs meanwhile, so a fault must show twice then.
    """
    return asyncio.run(_Examination(location, rehash=rehash).run(actors, progress))


class _Examination:
    def __init__(self, location: S3Location, *, rehash: bool) -> None:
        self._location = location
        self._bucket = S3Bucket(location)
        self._rehash = rehash
        self._blobs = 0

    async def run(self, actors: Sequence[ActorFiles], progress: Progress) -> list[Finding]:
        try:
            await self._bucket.check()
            return await self._check_all(actors, progress)
        except BlobStoreError as exc:
            return [Finding.error(CHECK, self._location, *explain(exc))]
        finally:
            await self._bucket.close()

    async def _check_all(self, actors: Sequence[ActorFiles], progress: Progress) -> list[Finding]:
        found: list[Finding] = []
        for first in range(0, len(actors), _AT_ONCE):
            progress("blobs", first, len(actors))
            some = actors[first : first + _AT_ONCE]
            for more in await asyncio.gather(*map(self._check_actor, some)):
                found += more
        progress("blobs", len(actors), len(actors))
        if not found:
            how = "bytes" if self._rehash else "sizes; --blobs reads them"
            message = f"{counted(self._blobs, 'blob')} ({how})"
            found.append(Finding.ok(CHECK, self._location, message))
        return found

    async def _check_actor(self, files: ActorFiles) -> list[Finding]:
        faults, count = await self._compare(files)
        if faults and files.in_service:
            faults, count = await self._compare(files)
        self._blobs += count
        return findings(f"{self._location.bucket}/{PERMANENT}{files.did}", faults)

    async def _compare(self, files: ActorFiles) -> tuple[BlobFaults, int]:
        faults = BlobFaults()
        try:
            rows = await asyncio.to_thread(examine_unchanged, files.store, read_rows)
        except DatabaseError:
            return faults, 0  # The check of the actor reports it.
        sizes = await self._sizes(PERMANENT, files.did) if rows else {}
        if any(row.is_taken_down for row in rows):
            # Before the row says so, and after it, the object may be in either place.
            sizes = {**await self._sizes(QUARANTINE, files.did), **sizes}
        for row in rows:
            await self._check_object(row, sizes.get(row.cid), faults)
        return faults, len(rows)

    async def _check_object(
        self, row: BlobRow, found: tuple[str, int] | None, faults: BlobFaults
    ) -> None:
        if found is None:
            faults.missing.add(row.cid)
        elif found[1] != row.size:
            faults.resized.add(f"{row.cid} ({found[1]} bytes instead of {row.size})")
        elif self._rehash and not await self._hashes_to(found[0], row.cid):
            faults.changed.add(row.cid)

    async def _sizes(self, place: str, did: str) -> dict[str, tuple[str, int]]:
        """Return the key and size of each object of an account, by the CID that names it."""
        prefix = f"{place}{did}/"
        return {
            info.key.removeprefix(prefix): (info.key, info.size)
            async for info in self._bucket.list(prefix)
        }

    async def _hashes_to(self, key: str, cid: str) -> bool:
        stream = await self._bucket.get(key)
        if stream is None:
            return False
        digest = hashlib.sha256()
        async for chunk in stream:
            digest.update(chunk)
        return is_content_of(digest.digest(), cid)
