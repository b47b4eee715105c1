"""Two stores as one, while all blobs move from the old one to the new one.

New uploads go to the new store; everything else is done wherever the bytes lie. A blob only ever
moves from old to new, and after a crash may be in both: so an operation is carried out in both,
and bytes that are missing in one are no error.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Final

from actor_store.blob_store.base import BlobFileMissing, BlobStoreError, OpenBlob, TempBlob
from actor_store.blob_store.old_readers import OldReader, OldReaders
from actor_store.blob_store.places import MovableStore
from actor_store.keyed_locks import KeyedLocks
from repo.cid import Cid

COPIES_AT_ONCE: Final = 8
"""How many blobs are copied at a time: on S3, small ones mostly wait for the network."""


class MovingBlobStore:
    """A `BlobStore` of two; `move_blob.move_blob` moves one blob from `old` to `new`."""

    def __init__(self, new: MovableStore, old: MovableStore) -> None:
        self.new = new
        self.old = old
        self.locks = KeyedLocks()
        """By DID. Holding one keeps that account's bytes from being moved, deleted or renamed."""
        self.readers: OldReaders[tuple[str, Cid | None]] = OldReaders()
        """By DID and CID. Temporary bytes, which have no CID for a name, have no readers."""

    async def put_temp(self, did: str, chunks: AsyncIterable[bytes], *, max_bytes: int) -> TempBlob:
        """See `BlobStore.put_temp`."""
        return await self.new.put_temp(did, chunks, max_bytes=max_bytes)

    async def make_permanent(self, did: str, key: str, cid: Cid) -> None:
        """See `BlobStore.make_permanent`."""
        async with self.locks[did]:
            # Usually the new store has the upload, and posting needs no answer of the old one. If
            # that has it as well, since a move was cut off, the sweep of uploads removes it.
            try:
                await self.new.make_permanent(did, key, cid)
            except BlobFileMissing:
                await self.old.make_permanent(did, key, cid)

    async def discard_temp(self, did: str, key: str) -> None:
        """See `BlobStore.discard_temp`."""
        async with self.locks[did]:
            for store in self._both:
                await store.discard_temp(did, key)

    async def make_temporary(self, did: str, key: str, cid: Cid) -> None:
        """See `BlobStore.make_temporary`."""
        async with self.locks[did]:
            for store in self._both:
                await store.make_temporary(did, key, cid)

    async def list_temp(self, did: str, *, before_s: float) -> list[str]:
        """See `BlobStore.list_temp`."""
        found = [await store.list_temp(did, before_s=before_s) for store in self._both]
        return list({key for keys in found for key in keys})

    async def list_temp_dids(self) -> list[str]:
        """See `BlobStore.list_temp_dids`."""
        found = [await store.list_temp_dids() for store in self._both]
        return list({did for dids in found for did in dids})

    async def open(self, did: str, cid: Cid) -> OpenBlob:
        """See `BlobStore.open`. What is in the old store can be read although the new one fails."""
        # Counted before the look into the new store: a move that finds no reader after its copy is
        # there knows that all later ones find the copy.
        reader = self.readers.enter((did, cid))
        try:
            blob, is_old = await self._open(did, cid)
        except BaseException:
            reader.leave()
            raise
        if is_old:
            return _OldBlob(blob, reader)
        reader.leave()
        return blob

    async def delete(self, did: str, cids: Iterable[Cid]) -> None:
        """See `BlobStore.delete`."""
        doomed = list(cids)
        async with self.locks[did]:
            for store in self._both:
                await store.delete(did, doomed)

    async def delete_all(self, did: str) -> None:
        """See `BlobStore.delete_all`."""
        async with self.locks[did]:
            # From now on no copying of this account's blobs begins.
            await self.old.delete_all(did)
            # Each copy under way may once put a file into a directory that is being removed.
            for tries_left in reversed(range(COPIES_AT_ONCE + 1)):
                try:
                    await self.new.delete_all(did)
                    break
                except OSError:
                    if not tries_left:
                        raise

    async def quarantine(self, did: str, cid: Cid) -> None:
        """See `BlobStore.quarantine`."""
        async with self.locks[did]:
            for store in self._both:
                await store.quarantine(did, cid)

    async def unquarantine(self, did: str, cid: Cid) -> None:
        """See `BlobStore.unquarantine`."""
        async with self.locks[did]:
            for store in self._both:
                await store.unquarantine(did, cid)

    async def close(self) -> None:
        """Close both stores. May be repeated."""
        for store in self._both:
            await store.close()

    @property
    def _both(self) -> tuple[MovableStore, MovableStore]:
        # The new one last, so that a blob that moves meanwhile is not missed.
        return self.old, self.new

    async def _open(self, did: str, cid: Cid) -> tuple[OpenBlob, bool]:
        """Open a blob; return also whether it is that of the old store."""
        failure: BlobStoreError | None = None
        try:
            return await self.new.open(did, cid), False
        except BlobFileMissing:
            pass
        except BlobStoreError as exc:
            failure = exc
        try:
            return await self.old.open(did, cid), True
        except BlobFileMissing:
            if failure is not None:
                raise failure from None
        # It may have been moved between the two looks, and does not move back.
        return await self.new.open(did, cid), False


class _OldBlob(OpenBlob):
    """An open blob of the old store."""

    def __init__(self, blob: OpenBlob, reader: OldReader) -> None:
        self._blob = blob
        self._reader = reader
        self.size = blob.size
        self.path: Path | None = blob.path

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        async with self, aclosing(aiter(self._blob)) as chunks:
            async for chunk in chunks:
                yield chunk

    async def close(self) -> None:
        """Close the blob, and stop counting its reader. May be repeated."""
        try:
            await self._blob.close()
        finally:
            self._reader.leave()
