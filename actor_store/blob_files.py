"""Blob bytes around a transaction: made permanent before it, deleted after it.

See `actor_store.blobs` for the order, and for what a crash between two steps leaves behind.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Protocol, TypeVar

from actor_store.blob_store.base import BlobFileMissing, BlobStore, BlobStoreError, TempBlob
from actor_store.blobs import BlobChanges, SweptUploads, TempRef, TrackedUpload
from actor_store.errors import ActorStoreError, BlobNotFound, RepoNotFound
from actor_store.keyed_locks import KeyedLocks
from actor_store.quota import check_upload
from database.errors import DatabaseError
from database.timestamps import iso_of, now_iso
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

    async def read_in_thread(self, did: str, fn: Callable[[ActorStoreReader], T]) -> T: ...

    async def until_durable(self, did: str) -> bool: ...


class BlobFiles:
    """Keeps a blob store consistent with the actors' rows."""

    def __init__(self, store: Transactions, blob_store: BlobStore) -> None:
        self._store = store
        self._blob_store = blob_store
        self._locks = KeyedLocks()
        self._tasks: set[asyncio.Task[None]] = set()

    async def with_permanent(
        self, did: str, refs: Sequence[BlobRef], fn: Callable[[tuple[TempRef, ...]], Awaitable[T]]
    ) -> T:
        """Make the bytes of `refs` permanent, then await `fn`, which refers to them.

        Raises what `BlobReader.check_refs` and `BlobStore.make_permanent` raise, but `BlobNotFound`
        for bytes that are gone: their client uploads them again. Does not suspend after `fn` has
        finished.
        """
        async with self._locks[did]:
            temporary = await self._store.read(did, lambda actor: actor.blob.check_refs(refs))
            try:
                for ref in temporary:
                    await self._make_permanent(did, ref)
                return await fn(temporary)
            except BaseException:
                await self._put_back(did, temporary)
                raise

    async def keep_upload(
        self,
        did: str,
        temp: TempBlob,
        *,
        mime_type: str,
        check: Callable[[ActorStoreReader], None] = lambda _: None,
        ignores_quota: bool = False,
    ) -> None:
        """Insert a finished upload; it becomes permanent at once if a record refers to it.

        `check` is called in the transaction and may refuse by raising. Raises `QuotaExceeded`,
        `BlobTakendown` and what `ActorStore.transact` and `check` raise, after deleting the
        temporary bytes.
        """

        def enter(actor: ActorStoreTransactor) -> TrackedUpload:
            check(actor)
            quota_bytes = None if ignores_quota else actor.quota_bytes
            if quota_bytes is not None:
                check_upload(actor, quota_bytes, temp)
            return actor.blob.track_upload(temp, mime_type=mime_type, created_at=now_iso())

        async with self._locks[did]:
            try:
                tracked = await self._store.transact(did, enter)
            except BaseException:
                await self._discard(did, temp.key)
                raise
            # Until then, a power failure may bring the row of the earlier upload back.
            if tracked.orphaned_key is not None and await self._store.until_durable(did):
                await self._discard(did, tracked.orphaned_key)
            if tracked.promote is not None:
                await self._keep(did, tracked.promote)

    async def take_down(self, did: str, cid: Cid, takedown_ref: str) -> str:
        """Hide a blob, and return the stored reference, which is that of the first takedown.

        Raises `BlobNotFound`, and what `ActorStore.transact` and `BlobStore.quarantine` raise.
        """
        async with self._locks[did]:
            kept = await self._store.transact(
                did, lambda actor: actor.blob.set_takedown(cid, takedown_ref)
            )
            # The row hides the blob; moving the bytes keeps them from being served otherwise.
            if await self._store.until_durable(did):
                await self._blob_store.quarantine(did, cid)
            return kept or takedown_ref

    async def restore(self, did: str, cid: Cid) -> None:
        """Reverse the takedown of a blob. Raises as `take_down` does, and leaves it hidden then.

        A blob that counts as restored has its bytes back: nobody would look for them in quarantine.
        """
        async with self._locks[did]:
            if await self._store.read(did, lambda actor: actor.blob.find(cid)) is None:
                raise BlobNotFound(cid)
            await self._blob_store.unquarantine(did, cid)
            await self._store.transact(did, lambda actor: actor.blob.set_takedown(cid, None))

    async def settle_uploads(self, did: str) -> None:
        """Make uploads permanent that records refer to without a commit, such as after an import.

        Raises what `ActorStore.transact` and `BlobStore.make_permanent` raise.
        """
        async with self._locks[did]:
            for ref in await self._store.read(did, lambda actor: actor.blob.list_awaited()):
                await self._keep(did, ref)

    async def sweep(
        self, did: str, *, before_s: float, limit: int, parts_only: bool
    ) -> SweptUploads:
        """Delete unreferenced uploads from before a time in Unix seconds.

        Deletes at most `limit` uploads, and all files of interrupted uploads; with `parts_only`,
        just the latter. The actor need not exist any more. Raises what `read_in_thread` and
        `transact` of `ActorStore` and the blob store raise.
        """
        # List the files first: an old file without a row by then never gets one.
        keys = await self._blob_store.list_temp(did, before_s=before_s)
        if not keys:
            return SweptUploads()
        before = iso_of(before_s)

        def look(actor: ActorStoreReader) -> tuple[list[Cid], frozenset[str]]:
            unused = [] if parts_only else actor.blob.list_unused(before=before, limit=limit)
            return unused, actor.blob.list_temp_keys()

        try:
            found, known = await self._store.read_in_thread(did, look)
        except RepoNotFound:
            found, known = [], frozenset()
        parts = [key for key in keys if key not in known]
        # A record that refers to an upload either commits before this, which keeps the upload,
        # or after it, and is refused.
        async with self._locks[did]:
            changes, size_bytes = BlobChanges((), ()), 0
            if found:
                changes, size_bytes = await self._store.transact(
                    did, lambda actor: actor.blob.drop_unused(found, before=before)
                )
            await self._delete_bytes(did, changes.unused, (*changes.orphaned_keys, *parts))
        return SweptUploads(len(changes.unused), size_bytes, len(parts))

    def delete_soon(self, did: str, leftovers: Iterable[BlobChanges]) -> None:
        """Delete in the background the bytes that a committed transaction has left unused.

        Not before it is durable: a power failure may bring back the records that refer to them.
        """
        task = asyncio.get_running_loop().create_task(self._delete(did, list(leftovers)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settle(self) -> None:
        """Wait until every deletion requested so far is done."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    async def _make_permanent(self, did: str, ref: TempRef) -> None:
        try:
            await self._blob_store.make_permanent(did, ref.key, ref.cid)
        except BlobFileMissing as exc:
            logger.warning("%s", exc)
            raise BlobNotFound(ref.cid) from exc

    async def _discard(self, did: str, key: str) -> None:
        """Delete temporary bytes. If that fails, the sweep deletes them."""
        try:
            await self._blob_store.discard_temp(did, key)
        except (BlobStoreError, OSError) as exc:
            logger.warning("could not discard an upload of %s: %s", did, exc)

    async def _put_back(self, did: str, refs: Iterable[TempRef]) -> None:
        """Make bytes temporary again if no record refers to them after all."""
        try:
            known = await self._store.read(did, lambda actor: actor.blob.list_temp_keys())
            for ref in refs:
                if ref.key in known:
                    await self._blob_store.make_temporary(did, ref.key, ref.cid)
        except (ActorStoreError, BlobStoreError, DatabaseError, OSError) as exc:
            # Harmless, as after a crash: the bytes remain available for the next record.
            logger.warning("could not make blobs of %s temporary again: %s", did, exc)

    async def _keep(self, did: str, ref: TempRef) -> None:
        await self._blob_store.make_permanent(did, ref.key, ref.cid)
        await self._store.transact(did, lambda actor: actor.blob.mark_permanent(ref.cid))

    async def _delete(self, did: str, leftovers: list[BlobChanges]) -> None:
        unused = [cid for changes in leftovers for cid in changes.unused]
        keys = [key for changes in leftovers for key in changes.orphaned_keys]
        if not await self._store.until_durable(did):
            return
        try:
            async with self._locks[did]:
                await self._delete_bytes(did, await self._still_unused(did, unused), keys)
        except (ActorStoreError, BlobStoreError, DatabaseError, OSError):
            # Nobody waits for this, and leftover bytes are harmless.
            logger.warning("could not delete unused blobs of %s", did, exc_info=True)

    async def _delete_bytes(self, did: str, cids: Iterable[Cid], keys: Iterable[str]) -> None:
        await self._blob_store.delete(did, cids)
        for key in keys:
            await self._blob_store.discard_temp(did, key)

    async def _still_unused(self, did: str, cids: list[Cid]) -> list[Cid]:
        """Exclude blobs uploaded and referred to again since the transaction."""
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
