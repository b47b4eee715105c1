"""`ReadContext`: the parts of a server that may have neither logins nor writes.

They are wired here, opened together and closed in order; `pds.context` adds those of a full server.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

import structlog

from actor_store.blob_store.moving import MovingBlobStore
from actor_store.blob_store.places import MovableStore
from actor_store.blob_store.s3_bucket import S3Bucket
from actor_store.blob_store.s3_links import BlobLinks
from actor_store.record_json import RecordJsonCache
from actor_store.store import ActorStore
from database.checkpoints import Checkpointer
from database.connection import Database
from database.durability import Durability
from database.errors import DatabaseError
from database.open_files import OpenFiles
from identity.did_cache import DidCache
from identity.handles import HandleResolver
from identity.http import SafeHttp
from identity.lookups import Lookups
from identity.plc import PlcClient
from identity.resolver import DidResolver
from identity.stranger_names import StrangerNames
from pds.accounts.register import AccountRegister
from pds.config import Settings
from pds.disk.survey import StorageSurvey
from pds.disk.usage import measure_actors_and_blobs
from pds.fairness.large_work import LargeWork
from pds.fairness.stranger_share import FETCHES, StrangerShare, fetch_turns, lookup_turns, plc_turns
from pds.fairness.streams import Streams
from pds.monitoring.health.check import HealthCheck
from pds.monitoring.health.server_check import make_health_check
from pds.monitoring.requests.asker import askers
from pds.monitoring.requests.client_address import ClientAddresses
from pds.monitoring.requests.statistics import RequestStatistics
from pds.monitoring.requests.subscribers import Subscribers
from pds.opening import (
    open_accounts,
    open_actor_store,
    open_blob_links,
    open_blob_store,
    open_bucket,
    open_did_cache,
    open_durability,
    open_remote_sequencer,
    open_sequencer,
)
from pds.peers.locks import AccountLocks
from pds.peers.peers import Peers
from pds.pending.journal import Journal
from pds.pending.unfinished import Unfinished
from repo.lexicon import Lexicons, default_lexicons
from repo.tid import TidClock
from sequencer.remote import AnySequencer
from sequencer.sequencer import Sequencer

_CLOCK_IDS: Final = 32
"""As many as the reference has."""
_CLOCK_IDS_OF_WORKER: Final = 15
"""Each worker has others, so that no two processes make the same TID: room for 66."""
_log = structlog.get_logger(__name__)


class ReadContext:
    """The parts that read handlers use, in a server that may have neither logins nor writes."""

    settings: Settings
    open_files: OpenFiles
    lexicons: Lexicons
    client_addresses: ClientAddresses
    durability: Durability
    """Knows which commits are on the disk."""
    checkpointer: Checkpointer
    """Checkpoints the service database and the event log."""
    accounts: AccountRegister
    unfinished: Unfinished
    peers: Peers
    """The other processes of this server, if it has several."""
    account_locks: AccountLocks
    sequencer: AnySequencer
    bucket: S3Bucket | None
    """The bucket of blobs; None if they are on disk only."""
    blob_store: MovableStore | MovingBlobStore
    blob_links: BlobLinks | None
    """Links to blobs at S3 or a CDN; None if this server sends them itself."""
    tid_clock: TidClock
    actor_store: ActorStore
    record_json: RecordJsonCache
    did_resolver: DidResolver
    handle_resolver: HandleResolver
    plc: PlcClient
    fetch_http: SafeHttp
    """For documents on servers that strangers name, and for the operator's pictures."""
    large_work: LargeWork
    streams: Streams
    """Limits concurrent long responses."""
    subscribers: Subscribers
    """Subscribers of the firehose, to list them and to close them when the server stops."""
    requests: RequestStatistics
    storage: StorageSurvey
    """Measures the disk space used by actors and blobs."""
    health: HealthCheck
    closing: AsyncExitStack

    def __init__(
        self, settings: Settings, stack: AsyncExitStack, peers: Peers | None = None
    ) -> None:
        """Open the parts in the order they need each other; `stack` closes them in reverse.

        `peers` are the other processes of a server that has several. Raises `ConfigError` and
        `DatabaseError`s.
        """
        self.settings = settings
        self.peers = Peers() if peers is None else peers
        self.account_locks = AccountLocks()
        stack.callback(self.peers.close)
        self.lexicons = default_lexicons()
        # Opened first, because it may reject the settings, and no file has been touched then.
        self.open_files = OpenFiles()
        self.bucket = open_bucket(settings, cdn_url=settings.blobstore.cdn_url)
        self.blob_store = open_blob_store(
            settings, self.bucket, self.open_files, stack, processes=self.peers.answering
        )
        self.blob_links = open_blob_links(settings, self.bucket)
        self.client_addresses = ClientAddresses(settings.trusted_proxies)
        self.durability = open_durability(settings, stack)
        self.checkpointer = Checkpointer()
        stack.callback(self.checkpointer.close)
        db = open_accounts(settings, self.checkpointer, self.durability)
        self.accounts = self._make_accounts(db)
        stack.push_async_callback(self.accounts.close)
        self.unfinished = Unfinished(Journal(self.accounts.db))
        self.sequencer = self._open_sequencer(stack)
        self.tid_clock = _tid_clock(self.peers.number)
        self.actor_store = open_actor_store(
            settings,
            self.accounts,
            self.blob_store,
            self.tid_clock,
            self.open_files,
            self.durability,
            stack,
            processes=self.peers.answering,
        )
        self.record_json = RecordJsonCache()
        self.large_work = _open_large_work(stack, self.peers.answering)
        self.streams = Streams(self.open_files.limit, processes=self.peers.answering)
        self.subscribers = Subscribers()
        self.requests = RequestStatistics()
        did_cache = self._open_identity(stack)
        self.storage = StorageSurvey(partial(measure_actors_and_blobs, settings))
        stack.push_async_callback(self.storage.close)
        self.health = make_health_check(
            settings, self.accounts, self.sequencer, did_cache, self.unfinished, self.bucket
        )
        stack.push_async_callback(self.unfinished.retrier.close)
        self.closing = stack

    async def close(self) -> None:
        """Finish queued work, record a clean stop, and close every file."""
        await self.closing.aclose()

    def askers(self) -> tuple[str, ...]:
        """Return the keys whose shares the current request uses: see `askers`."""
        return askers(self.client_addresses)

    def _make_accounts(self, db: Database) -> AccountRegister:
        return AccountRegister(db)

    def _open_identity(self, stack: AsyncExitStack) -> DidCache:
        """Open the parts that look up DIDs and handles of any server."""
        identity = self.settings.identity
        share = StrangerShare(lookup_turns(), self.askers)
        self._lookups = Lookups(
            timeout_ms=identity.resolver_timeout_ms, share=share, files=self.open_files
        )
        self.fetch_http = self._open_http(stack, FETCHES, StrangerShare(fetch_turns(), self.askers))
        did_cache = open_did_cache(self.settings, stack, is_shared=not self.peers.is_alone)
        self.did_resolver = DidResolver(
            did_cache,
            self.fetch_http,
            plc_url=identity.plc_url,
            plc_share=StrangerShare(plc_turns(), self.askers),
            stale_ttl_ms=identity.cache_stale_ttl_ms,
            max_ttl_ms=identity.cache_max_ttl_ms,
        )
        stack.push_async_callback(self.did_resolver.close)
        self.handle_resolver = HandleResolver(
            self.fetch_http,
            timeout_ms=identity.resolver_timeout_ms,
            lookups=self._lookups,
            backup_nameservers=identity.handle_backup_nameservers,
            share=share,
            files=self.open_files,
        )
        self.plc = PlcClient(identity.plc_url, self.fetch_http)
        return did_cache

    def _open_http(
        self, stack: AsyncExitStack, connections: int, share: StrangerShare | None = None
    ) -> SafeHttp:
        http = SafeHttp(
            allow_private=not self.settings.ssrf_protection,
            timeout_ms=self.settings.identity.resolver_timeout_ms,
            max_bytes=self.settings.fetch.max_response_bytes,
            connections=connections,
            resolver=StrangerNames(self._lookups),
            share=share,
            files=self.open_files,
        )
        stack.push_async_callback(http.close)
        return http

    @property
    def event_log(self) -> Sequencer:
        """The event log where it is written: in the first process. Raises `TypeError` elsewhere."""
        if not isinstance(self.sequencer, Sequencer):
            raise TypeError("another process writes the event log")
        return self.sequencer

    def _open_sequencer(self, stack: AsyncExitStack) -> AnySequencer:
        if self.peers.first is not None:
            remote = open_remote_sequencer(self.settings, self, self.durability)
            stack.push_async_callback(remote.close)
            stack.push_async_callback(self._write_heads)
            return remote
        sequencer = open_sequencer(self.settings, self.checkpointer, self.durability, stack)
        stack.push_async_callback(self._note_orderly_stop)
        return sequencer

    async def _write_heads(self) -> None:
        try:
            await self.accounts.repo_roots.flush()
        except DatabaseError as exc:
            _log.error("the last heads are not written", reason=str(exc))

    async def _note_orderly_stop(self) -> None:
        """Record a clean stop, if recovery would find nothing to repair."""
        if not self.unfinished.finished:
            return
        try:
            await self.sequencer.append()
            await self.accounts.repo_roots.flush()
            await self.durability.settle_all()
            await self._end_run()
        except DatabaseError as exc:
            _log.error(
                "the last events or heads are not written; the next start repairs that",
                reason=str(exc),
            )

    async def _end_run(self) -> None:
        self.event_log.mark_stopped()


async def open_read_context(settings: Settings) -> ReadContext:
    """Open the parts of a read-only server. The caller has claimed the data directory.

    Raises `ConfigError` and `DatabaseError`s.
    """
    async with AsyncExitStack() as stack:
        ctx = ReadContext(settings, stack)
        await ctx.actor_store.remove_leftovers()
        # Its stores are copies, which are copied again after a crash.
        ctx.event_log.run.mark_recovered()
        ctx.unfinished.finished = True
        ctx.closing = stack.pop_all()
    return ctx


def _tid_clock(worker: int | None) -> TidClock:
    clock_id = random.SystemRandom().randrange(_CLOCK_IDS)
    if worker is not None:
        clock_id = _CLOCK_IDS + worker * _CLOCK_IDS_OF_WORKER + clock_id % _CLOCK_IDS_OF_WORKER
    return TidClock(lambda: time.time_ns() // 1000, clock_id)


def _open_large_work(stack: AsyncExitStack, processes: int) -> LargeWork:
    large_work = LargeWork(processes=processes)
    stack.push_async_callback(asyncio.to_thread, large_work.close)
    return large_work
