"""The bytes of blobs around a transaction: permanent before it, deleted after it.

See `actor_store.blobs` for the order and what a crash between two steps leaves.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar
from weakref import WeakValueDictionary

from actor_store.blob_store.base import BlobStore, BlobStoreError, TempBlob
from actor_store.blobs import BlobChanges, TempRef, TrackedUpload
from actor_store.errors import ActorStoreError, RepoNotFound
from database.errors import DatabaseError
from database.timestamps import now_iso
from repo.cid import Cid

if TYPE_CHECKING:
    from actor_store.reader import ActorStoreReader
    from actor_store.transactor import ActorStoreTransactor
    from repo.datamodel import BlobRef

T = TypeVar("T")

logger = logging.getLogger(__name__)


class Transactions(Protocol):
    """The part of `ActorStore` that this module needs."""

    async def read(self, did: str, fn: Callable[[ActorStoreReader], T]) -> T: ...

    async def transact(self, did: str, fn: Callable[[ActorStoreTransactor], T]) -> T: ...


class BlobFiles:
    """Keeps a blob store in step with the rows of the actors."""

    def __init__(self, store: Transactions, blob_store: BlobStore) -> None:
        self._store = store
        self._blob_store = blob_store
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks: set[asyncio.Task[None]] = set()

    async def with_permanent(
        self, did: str, refs: Sequence[BlobRef], fn: Callable[[tuple[TempRef, ...]], Awaitable[T]]
    ) -> T:
        """Make the bytes of `refs` permanent, then await `fn`, which refers to them.

        Raises what `BlobReader.check_refs` and `BlobStore.make_permanent` raise, and does not
        suspend after `fn` is done.
        """
        async with self._lock(did):
            temporary = await self._store.read(did, lambda actor: actor.blob.check_refs(refs))
            for ref in temporary:
                await self._blob_store.make_permanent(did, ref.key, ref.cid)
            return await fn(temporary)

    async def keep_upload(
        self, did: str, temp: TempBlob, *, mime_type: str, check: Callable[[ActorStoreReader], None]
    ) -> None:
        """See `ActorStore.keep_upload`."""

        def enter(actor: ActorStoreTransactor) -> TrackedUpload:
            check(actor)
            return actor.blob.track_upload(temp, mime_type=mime_type, created_at=now_iso())

        async with self._lock(did):
            try:
                tracked = await self._store.transact(did, enter)
            except BaseException:
                await self._blob_store.discard_temp(did, temp.key)
                raise
            if tracked.orphaned_key is not None:
                await self._blob_store.discard_temp(did, tracked.orphaned_key)
            if tracked.promote is not None:
                await self._keep(did, tracked.promote)

    async def settle_uploads(self, did: str) -> None:
        """Make every upload permanent that a record refers to, as after an import."""
        async with self._lock(did):
            for ref in await self._store.read(did, lambda actor: actor.blob.list_awaited()):
                await self._keep(did, ref)

    def delete_soon(self, did: str, leftovers: Iterable[BlobChanges]) -> None:
        """Delete in the background what a committed transaction has left to nobody."""
        task = asyncio.get_running_loop().create_task(self._delete(did, list(leftovers)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settle(self) -> None:
        """Wait until every deletion asked for so far is done."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    async def _keep(self, did: str, ref: TempRef) -> None:
        await self._blob_store.make_permanent(did, ref.key, ref.cid)
        await self._store.transact(did, lambda actor: actor.blob.mark_permanent(ref.cid))

    async def _delete(self, did: str, leftovers: list[BlobChanges]) -> None:
        unused = [cid for changes in leftovers for cid in changes.unused]
        keys = [key for changes in leftovers for key in changes.orphaned_keys]
        try:
            async with self._lock(did):
                await self._blob_store.delete(did, await self._still_unused(did, unused))
                for key in keys:
                    await self._blob_store.discard_temp(did, key)
        except (ActorStoreError, BlobStoreError, DatabaseError, OSError):
            # Nobody waits for this, and bytes that stay behind harm nobody.
            logger.warning("bytes of unused blobs of %s were not deleted", did, exc_info=True)

    async def _still_unused(self, did: str, cids: list[Cid]) -> list[Cid]:
        """Leave out what was uploaded and referred to once more since the transaction."""
        try:
            return await self._store.read(
                did,
                lambda actor: [
                    cid
                    for cid in cids
                    if (blob := actor.blob.find(cid)) is None or blob.temp_key is not None
                ],
            )
        except RepoNotFound:
            return cids

    def _lock(self, did: str) -> asyncio.Lock:
        """The blob lock of one actor, kept as long as somebody has or awaits it."""
        lock = self._locks.get(did)
        if lock is None:
            lock = self._locks[did] = asyncio.Lock()
        return lock
