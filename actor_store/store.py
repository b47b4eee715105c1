"""`ActorStore`: every actor of this server, each in its own SQLite database.

Short work runs on the event loop, on a connection that stays open; long work runs in a thread, on
its own connection. Nothing awaits inside a transaction: callers pass plain functions, which may
run again if the file was busy.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from actor_store.blob_files import BlobFiles
from actor_store.blob_store.base import BlobStore
from actor_store.blobs import BlobChanges, TempRef
from actor_store.blocks import CountedNodeCache
from actor_store.creation import (
    adopt_database,
    create_directory,
    remove_directory,
    remove_leftovers,
)
from actor_store.errors import ActorStoreDamaged
from actor_store.keys import SigningKeys
from actor_store.layout import ActorLayout
from actor_store.long_transaction import LongCommits, LongTransaction
from actor_store.open_stores import FILES_PER_STORE, OpenStore, OpenStores, max_open_stores
from actor_store.opening import (
    STREAM_PAGE_CACHE_KIB,
    THREAD_PAGE_CACHE_KIB,
    StoreOpener,
    StoreSettings,
)
from actor_store.quota import check_growth, no_quota
from actor_store.reader import ActorStoreReader
from actor_store.streaming import ThreadedSource, stream
from actor_store.transactor import ActorStoreTransactor, Signing
from actor_store.writes import PreparedWrite
from database.checkpoints import Checkpointer
from database.connection import Database, WriteCounts
from database.errors import DatabaseBusy, DatabaseDamaged, DatabaseForbidden
from database.open_files import OpenFiles
from database.retry import when_free
from repo.cid import Cid
from repo.commit import Action, CommitData
from repo.keys import PrivateKey
from repo.tid import TidClock

if TYPE_CHECKING:
    from repo.datamodel import BlobRef

T = TypeVar("T")
Plan: TypeAlias = Callable[[ActorStoreReader], Sequence[PreparedWrite] | None]
"""Derives writes from what it reads; returns None for no commit."""

_THREADS: Final = 4
_THREAD_NODE_CACHE_BYTES: Final = 4 * 1024 * 1024
_UNUSABLE: Final = (DatabaseDamaged, DatabaseForbidden)
"""Errors that make one actor's database unusable but do not affect others."""


_DEFAULTS: Final = StoreSettings()


class ActorStore:
    """All actors. Methods raise `ActorStoreError`s, and `DatabaseError`s if the disk fails."""

    def __init__(
        self,
        *,
        layout: ActorLayout,
        blob_store: BlobStore,
        clock: TidClock,
        settings: StoreSettings = _DEFAULTS,
        files: OpenFiles | None = None,
        find_quota: Callable[[str], int | None] = no_quota,
    ) -> None:
        """`clock` issues the revs of all commits in this process; `files` are its open files."""
        self.find_quota = find_quota
        """How many bytes an actor may take, by DID; None if there is no limit."""
        self.layout = layout
        """Where the files of actors are."""
        self._blob_store = blob_store
        self._clock = clock
        self._settings = settings
        self.keys = SigningKeys(layout)
        """Signing keys of actors, and those reserved for actors to come."""
        self.nodes = CountedNodeCache(settings.node_cache_bytes)
        """MST nodes of all actors that are kept in memory."""
        self._files = OpenFiles() if files is None else files
        self.open_stores = OpenStores(
            self._open_store,
            max_open=max_open_stores(settings.max_open, processes=settings.processes),
            files=self._files,
        )
        """The databases that are kept open for the event loop."""
        self.blob_files = BlobFiles(self, blob_store)
        """Uploads, and the bytes of blobs that commits keep or delete."""
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="actor-store")
        self._long_work: set[LongTransaction[Any]] = set()
        self._commits = LongCommits()
        self._closed = False
        self.write_counts = WriteCounts()
        """Write transactions of all actors together."""
        self.record_writes: Counter[Action] = Counter()
        """Records written since the start."""
        self._opener = StoreOpener(
            layout, settings, is_open=self.open_stores.__contains__, counts=self.write_counts
        )

    @property
    def checkpointer(self) -> Checkpointer:
        """Checkpoints the databases of all actors."""
        return self._opener.checkpointer

    def key(self, did: str) -> PrivateKey:
        """The signing key of an actor. Raises `RepoNotFound`."""
        return self.keys.get(did)

    def exists(self, did: str) -> bool:
        """Whether there is a store for this DID."""
        return did in self.open_stores or self.layout.store(did).exists()

    def iter_dids(self) -> Iterator[str]:
        """The DIDs that have a store, in no order. Reads directories: for a thread."""
        return self.layout.iter_dids()

    @property
    def quarantined(self) -> Mapping[str, str]:
        """The quarantined actors: the reason by DID."""
        return self._opener.quarantined

    def quarantine(self, did: str, reason: str) -> None:
        """Leave an actor's files alone from now on: using it raises `ActorStoreDamaged`."""
        self._opener.quarantined[did] = reason
        self.open_stores.discard(did)

    async def remove_leftovers(self) -> None:
        """Delete what a crash has left of actors half made or half deleted. Only at start."""
        await self._in_thread(lambda: remove_leftovers(self.layout))

    async def create(self, did: str, key: PrivateKey, fn: Callable[[ActorStoreTransactor], T]) -> T:
        """Create the store of a new actor, filled by `fn`: usually `create_repo`.

        A failure leaves nothing behind. `fn` runs in a thread. Raises `RepoExists`.
        """
        signing = Signing(self._clock, lambda _: key)

        def fill(db: Database) -> T:
            return fn(ActorStoreTransactor(did, db, _thread_nodes(), signing, no_quota))

        return await self._in_thread(lambda: create_directory(self.layout, did, key, fill))

    async def adopt(self, did: str, database: Path) -> None:
        """Replace an actor's database with this complete, closed file, atomically.

        The file is moved; any previous database is deleted. The actor needs no signing key as long
        as nobody commits. Raises `OSError`.
        """
        self.open_stores.discard(did)
        await self._in_thread(lambda: adopt_database(self.layout, did, database))

    async def destroy(self, did: str) -> None:
        """Delete an actor: database, signing key, blobs. An absent one is ignored."""
        self.let_go(did)
        await self._in_thread(lambda: remove_directory(self.layout, did))
        await self._blob_store.delete_all(did)

    def let_go(self, did: str) -> None:
        """Forget an actor whose files are deleted, here or by another process."""
        self.open_stores.discard(did)
        self.keys.forget(did)
        self._opener.quarantined.pop(did, None)

    async def read(self, did: str, fn: Callable[[ActorStoreReader], T]) -> T:
        """Run `fn` on one consistent state and return its result.

        Suspends only while another process is recovering the file. Raises `RepoNotFound`,
        `ActorStoreDamaged`, and what `fn` raises.
        """
        return await when_free(partial(self._read, did, fn))

    async def read_one(self, did: str, fn: Callable[[ActorStoreReader], T]) -> T:
        """Read like `read`, for a single statement, which is consistent by itself."""
        return await when_free(partial(self._read, did, fn, in_snapshot=False))

    async def transact(self, did: str, fn: Callable[[ActorStoreTransactor], T]) -> T:
        """Run `fn` as one write transaction and return its result.

        Suspends only while another connection has the write lock, and not after the COMMIT: the
        caller appends the commit's event in the same step of the event loop. `fn` may run again, so
        it must touch nothing but the actor. Raises `RepoNotFound`, `ActorStoreDamaged`, and what
        `fn` raises, with nothing changed.
        """
        return await when_free(partial(self._transact, did, fn))

    async def commit(
        self,
        did: str,
        plan: Plan,
        *,
        blobs: Sequence[BlobRef] = (),
        swap_commit: Cid | None = None,
    ) -> CommitData | None:
        """Commit the writes that `plan` derives from what it reads inside the transaction.

        Returns None if no record changes; `plan` may return None for the same effect. `blobs` are
        those that the written records refer to. Like `transact`, does not suspend after the COMMIT.
        Raises what `ActorStoreTransactor.commit`, `BlobReader.check_refs` and
        `BlobStore.make_permanent` raise.
        """

        def run(
            actor: ActorStoreTransactor, made_permanent: tuple[TempRef, ...] = ()
        ) -> CommitData | None:
            writes = plan(actor)
            if writes is None:
                return None
            return actor.commit(writes, swap_commit=swap_commit, made_permanent=made_permanent)

        if blobs:
            data = await self.blob_files.with_permanent(
                did, blobs, lambda refs: self.transact(did, partial(run, made_permanent=refs))
            )
        else:
            data = await self.transact(did, run)
        if data is not None:
            self.record_writes.update([op.action for op in data.ops])
        return data

    async def read_in_thread(self, did: str, fn: Callable[[ActorStoreReader], T]) -> T:
        """Read like `read`, for long work: in a thread, on a connection of its own."""

        def run() -> T:
            db = self._opener.for_reading(did)
            try:
                with db.snapshot():
                    return fn(ActorStoreReader(did, db, _thread_nodes()))
            finally:
                db.close()

        return await self._in_thread(lambda: _name_damage(did, run))

    async def transact_in_thread(
        self,
        did: str,
        fn: Callable[[ActorStoreTransactor], T],
        *,
        page_cache_kib: int = THREAD_PAGE_CACHE_KIB,
        ignores_quota: bool = False,
    ) -> T:
        """Write like `transact`, for long work: in a thread, on a connection of its own.

        Other writers of the actor wait meanwhile, for at most five seconds, and none can run
        between the COMMIT and the caller's resumption. If the caller is cancelled or the store
        closed, `fn` ends soon and its work is rolled back. Exceeding the quota also rolls back and
        raises `QuotaExceeded`, unless `ignores_quota`.
        """
        key = self.key(did)
        quota_bytes = None if ignores_quota else self.find_quota(did)
        self.open_stores.close_roomless(did)
        signing = Signing(self._clock, lambda _: key)
        leftovers: list[BlobChanges] = []

        def run(db: Database) -> T:
            actor = ActorStoreTransactor(did, db, _thread_nodes(), signing, lambda _: quota_bytes)
            used_bytes = 0 if quota_bytes is None else actor.usage.used_bytes()
            result = fn(actor)
            if quota_bytes is not None:
                check_growth(actor, quota_bytes, used_bytes)
            leftovers.extend(actor.leftovers)
            return result

        work = LongTransaction(
            lambda: self._opener.for_work(did, cache_kib=page_cache_kib),
            run,
            tidy=self._opener.empty_wal,
        )

        def commit() -> None:
            work.commit()
            self._settings.durability.sync_now(self.layout.store(did))

        self._long_work.add(work)
        try:
            result = await self._in_thread(lambda: _name_damage(did, work.run))
            await self._commits.commit(did, lambda: _name_damage(did, commit))
        finally:
            self._long_work.discard(work)
            # After `close`, the threads are gone and `close` itself has closed this.
            if not self._closed:
                self._threads.submit(work.close)
        if leftovers:
            self.blob_files.delete_soon(did, leftovers)
        return result

    def stream(
        self, did: str, fn: Callable[[ActorStoreReader], Iterator[bytes]]
    ) -> AsyncGenerator[bytes, None]:
        """Stream the bytes that `fn` produces in a thread from one snapshot, as they are consumed.

        Ending or cancelling the iteration ends the reading. Raises like `read`, while iterating.
        """

        def chunks(db: Database) -> Iterator[bytes]:
            try:
                yield from fn(ActorStoreReader(did, db, _thread_nodes()))
            except _UNUSABLE as exc:
                raise ActorStoreDamaged(did, str(exc)) from exc

        def open_db() -> Database:
            return self._opener.for_reading(did, cache_kib=STREAM_PAGE_CACHE_KIB)

        source = ThreadedSource(partial(_name_damage, did, open_db), chunks)
        return self._admit(stream(self._threads, source))

    async def close(self) -> None:
        """Finish work in progress and close every database. May be repeated."""
        await self.blob_files.settle()
        self._closed = True
        await asyncio.to_thread(self._close_files)

    async def until_durable(self, did: str) -> bool:
        """Wait until all that was committed so far is durable, if it is to be.

        Return whether the actor's commits are; after a failed sync, nobody knows what is there.
        """
        durability = self._settings.durability
        over = asyncio.get_running_loop().create_future()
        durability.when_durable(lambda: over.set_result(None))
        await asyncio.shield(over)
        return durability.failure_of(self.layout.store(did)) is None

    def _close_files(self) -> None:
        # The client of an import may be gone without the import having noticed.
        for work in [*self._long_work]:
            work.close()
        self._commits.close()
        self._threads.shutdown(wait=True)
        self.open_stores.close()
        self._opener.close()

    def _read(
        self, did: str, fn: Callable[[ActorStoreReader], T], *, in_snapshot: bool = True
    ) -> T:
        opened = self.open_stores.get(did)
        try:
            if not in_snapshot:
                return fn(opened.reader)
            with opened.db.snapshot():
                return fn(opened.reader)
        except _UNUSABLE as exc:
            self.open_stores.discard(did)
            raise ActorStoreDamaged(did, str(exc)) from exc

    def _transact(self, did: str, fn: Callable[[ActorStoreTransactor], T]) -> T:
        if did in self._commits:
            raise DatabaseBusy(self.layout.store(did), "long work is being committed")
        opened = self.open_stores.get(did)
        actor = opened.transactor
        actor.leftovers.clear()
        try:
            with opened.db.transaction():
                result = fn(actor)
        except _UNUSABLE as exc:
            self.open_stores.discard(did)
            raise ActorStoreDamaged(did, str(exc)) from exc
        except BaseException:
            actor.blob.forget_totals()
            raise
        if actor.leftovers:
            self.blob_files.delete_soon(did, actor.leftovers)
        return result

    def _open_store(self, did: str) -> OpenStore:
        db = _name_damage(did, lambda: self._opener.for_loop(did))
        signing = Signing(self._clock, self.keys.get)
        actor = ActorStoreTransactor(did, db, self.nodes, signing, self.find_quota)
        return OpenStore(db, actor)

    async def _admit(self, parts: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        """Yield `parts` once there is room for the files that the first part opens."""
        async with aclosing(parts):
            async with self._files.room(FILES_PER_STORE):
                part = await anext(parts, None)
            while part is not None:
                yield part
                part = await anext(parts, None)

    async def _in_thread(self, fn: Callable[[], T]) -> T:
        # There are so few threads that their open files need not be counted.
        await self._files.until_room(0)
        return await asyncio.get_running_loop().run_in_executor(self._threads, fn)


def _thread_nodes() -> CountedNodeCache:
    """Return a separate cache, because the event loop's is not thread-safe."""
    return CountedNodeCache(_THREAD_NODE_CACHE_BYTES)


def _name_damage(did: str, fn: Callable[[], T]) -> T:
    """Call `fn`; translate errors of a damaged database into `ActorStoreDamaged`."""
    try:
        return fn()
    except _UNUSABLE as exc:
        raise ActorStoreDamaged(did, str(exc)) from exc
