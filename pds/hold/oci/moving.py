"""Two stores as one, while all blobs of images move from the old one to the new one.

New uploads go to the new store; a blob is found, read and deleted wherever it lies. Blobs only ever
move from old to new, and after a crash one may be in both.

An upload that was begun in the old store, before the restart that has begun the move, takes no more
parts: its client is told that it is gone, and begins again. If its parts have been put together by
then, it is checked and kept in the old store, and its blob moves like any other.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import replace
from typing import Final

from cachetools import TTLCache

from actor_store.blob_store.base import BlobStoreError
from actor_store.blob_store.move_steps import Arrived
from actor_store.blob_store.old_readers import OldReaders
from actor_store.keyed_locks import KeyedLocks
from pds.hold.oci.digest import Digest
from pds.hold.oci.errors import BlobNotFound, UploadNotFound
from pds.hold.oci.storage import Leftover, OciStorage, Part, PartUrl, StoredBlob

_REMEMBERED: Final = 100_000
_LOOK_AGAIN_S: Final = 600.0
"""As in `Blobs`: somebody may delete objects of the bucket by hand."""


class MovingOciStorage:
    """An `OciStorage` of two; `move_layer.move_layer` moves one blob from `old` to `new`."""

    def __init__(self, new: OciStorage, old: OciStorage) -> None:
        self.new = new
        self.old = old
        self.locks = KeyedLocks()
        """By digest. Holding one keeps that blob from being moved or deleted."""
        self.readers: OldReaders[Digest] = OldReaders()
        self._in_new: TTLCache[Digest, bool] = TTLCache(_REMEMBERED, _LOOK_AGAIN_S)

    async def find(self, digest: Digest) -> StoredBlob | None:
        """See `OciStorage.find`. What is in the old store is found although the new one fails."""
        failure: BlobStoreError | None = None
        try:
            if found := await self.new.find(digest):
                return found
        except BlobStoreError as exc:
            failure = exc
        if found := await self.old.find(digest):
            return found
        if failure is not None:
            raise failure
        # It may have been moved between the two looks, and does not move back.
        return await self.new.find(digest)

    async def presign(self, digest: Digest, method: str) -> str | None:
        """See `OciStorage.presign`. None of the old store: its blobs go before a URL ends."""
        if await self._is_in_new(digest):
            return await self.new.presign(digest, method)
        return None

    async def read(self, digest: Digest, start: int, end: int) -> AsyncGenerator[bytes, None]:
        """See `OciStorage.read`."""
        # Counted before the look into the new store: a move that finds no reader after its copy is
        # there knows that all later ones find the copy.
        reader = self.readers.enter(digest)
        has_begun = False
        try:
            if not await self._is_in_new(digest):
                async with aclosing(self.old.read(digest, start, end)) as chunks:
                    async for chunk in chunks:
                        has_begun = True
                        yield chunk
                return
        except BlobNotFound:
            if has_begun:
                raise
        finally:
            reader.leave()
        async with aclosing(self.new.read(digest, start, end)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def begin(self, upload_id: str) -> str:
        """See `OciStorage.begin`."""
        return await self.new.begin(upload_id)

    async def owns(self, upload_id: str, storage_id: str) -> bool:
        """See `OciStorage.owns`."""
        return any([await store.owns(upload_id, storage_id) for store in self._both])

    async def part_url(self, upload_id: str, storage_id: str, number: int) -> PartUrl | None:
        """See `OciStorage.part_url`."""
        await self._check_new(upload_id, storage_id)
        return await self.new.part_url(upload_id, storage_id, number)

    async def write_part(
        self, upload_id: str, storage_id: str, number: int, chunks: AsyncIterable[bytes]
    ) -> str:
        """See `OciStorage.write_part`."""
        await self._check_new(upload_id, storage_id)
        return await self.new.write_part(upload_id, storage_id, number, chunks)

    async def join(self, upload_id: str, storage_id: str, parts: Sequence[Part]) -> int:
        """See `OciStorage.join`."""
        await self._check_new(upload_id, storage_id)
        return await self.new.join(upload_id, storage_id, parts)

    async def measure(self, upload_id: str, storage_id: str) -> Digest:
        """See `OciStorage.measure`."""
        return await (await self._owner(upload_id, storage_id)).measure(upload_id, storage_id)

    async def keep(self, upload_id: str, storage_id: str, digest: Digest, size_bytes: int) -> None:
        """See `OciStorage.keep`."""
        store = await self._owner(upload_id, storage_id)
        async with self.locks[digest]:
            await store.keep(upload_id, storage_id, digest, size_bytes)

    async def discard(self, upload_id: str, storage_id: str) -> None:
        """See `OciStorage.discard`."""
        await (await self._owner(upload_id, storage_id)).discard(upload_id, storage_id)

    async def receive(
        self, digest: Digest, size_bytes: int, chunks: AsyncIterable[bytes]
    ) -> Arrived:
        """See `OciStorage.receive`."""
        return await self.new.receive(digest, size_bytes, chunks)

    async def delete(self, digests: Sequence[Digest]) -> None:
        """See `OciStorage.delete`."""
        async with AsyncExitStack() as stack:
            # In order, so that two deletions do not wait for each other.
            for digest in sorted(set(digests)):
                await stack.enter_async_context(self.locks[digest])
            try:
                for store in self._both:
                    await store.delete(digests)
            finally:
                for digest in digests:
                    self._in_new.pop(digest, None)

    async def list(self, after: str = "") -> AsyncGenerator[StoredBlob, None]:
        """See `OciStorage.list`. What moves meanwhile may be left out."""
        async with aclosing(self.old.list(after)) as old, aclosing(self.new.list(after)) as new:
            next_old, next_new = await anext(old, None), await anext(new, None)
            while following := [blob for blob in (next_new, next_old) if blob is not None]:
                # Of one that is in both, the copy in the new store, which is younger.
                blob = min(following, key=lambda blob: blob.digest)
                if next_old is not None and next_old.digest == blob.digest:
                    next_old = await anext(old, None)
                if next_new is not None and next_new.digest == blob.digest:
                    next_new = await anext(new, None)
                yield blob

    async def list_leftovers(self) -> AsyncIterator[Leftover]:
        """See `OciStorage.list_leftovers`."""
        async for leftover in self.old.list_leftovers():
            yield replace(leftover, is_old=True)
        async for leftover in self.new.list_leftovers():
            yield leftover

    async def drop_leftover(self, leftover: Leftover) -> None:
        """See `OciStorage.drop_leftover`."""
        await (self.old if leftover.is_old else self.new).drop_leftover(leftover)

    async def close(self) -> None:
        """See `OciStorage.close`."""
        for store in self._both:
            await store.close()

    @property
    def _both(self) -> tuple[OciStorage, OciStorage]:
        # The new one last, so that a blob that moves meanwhile is not missed.
        return self.old, self.new

    async def _is_in_new(self, digest: Digest) -> bool:
        """Whether the new store has a blob, as far as it answers."""
        if digest in self._in_new:
            return True
        try:
            found = await self.new.find(digest)
        except BlobStoreError:
            return False
        if found is not None:
            self._in_new[digest] = True
        return found is not None

    async def _check_new(self, upload_id: str, storage_id: str) -> None:
        """Raise `UploadNotFound` unless the upload was begun in the new store."""
        if not await self.new.owns(upload_id, storage_id):
            raise UploadNotFound

    async def _owner(self, upload_id: str, storage_id: str) -> OciStorage:
        return self.old if await self.old.owns(upload_id, storage_id) else self.new
