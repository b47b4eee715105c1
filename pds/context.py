"""`AppContext`: every part of the server, opened together and closed in order."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

import structlog
from aiohttp import web

from actor_store.blob_store.base import BlobStore
from actor_store.blob_store.disk import DiskBlobStore
from actor_store.layout import ActorLayout
from actor_store.record_json import RecordJsonCache
from actor_store.store import ActorStore, StoreSettings
from database.checkpoints import Checkpointer
from database.connection import Database
from database.errors import DatabaseError, DatabaseFull
from database.open_files import OpenFiles
from identity.did_cache import DidCache
from identity.handles import HandleResolver
from identity.http import SafeHttp
from identity.lookups import Lookups
from identity.plc import PlcClient
from identity.resolver import DidResolver
from identity.stranger_names import StrangerNames
from pds.accounts.manager import AccountManager
from pds.accounts.schema import open_account_database
from pds.accounts.session_tokens import SessionTokens
from pds.accounts.stores import MIN_LOGIN_MS
from pds.config import ConfigError, Settings
from pds.crawlers import Crawlers
from pds.disk.data_directory import RUN_FILE
from pds.disk.survey import StorageSurvey
from pds.disk.usage import measure_actors_and_blobs
from pds.entryway.trust import audiences_of, find_entryway, token_issuer
from pds.fairness.large_work import LargeWork
from pds.fairness.proxy_share import ProxyShare
from pds.fairness.stranger_share import FETCHES, StrangerShare, fetch_turns, lookup_turns, plc_turns
from pds.fairness.streams import Streams
from pds.fairness.turns import Turns
from pds.mail.mailer import Mailer
from pds.monitoring.health.check import HealthCheck
from pds.monitoring.health.server_check import make_health_check
from pds.monitoring.requests.asker import askers
from pds.monitoring.requests.client_address import ClientAddresses
from pds.monitoring.requests.statistics import RequestStatistics
from pds.monitoring.requests.subscribers import Subscribers
from pds.pending.import_turns import Imports
from pds.pending.journal import Journal
from pds.pending.run_record import end_run
from pds.pending.unfinished import Unfinished
from pds.pending.upload_sweep import UploadSweep
from pds.proxy.target import ProxyTarget
from pds.rate_limits.admin_guesses import AdminGuesses
from pds.recovery.start import recover
from pds.service_auth.issuer import ServiceTokens
from pds.service_auth.verifier import ServiceAuth
from repo.keys import K256PrivateKey, PrivateKey
from repo.lexicon import Lexicons, default_lexicons
from repo.tid import TidClock
from sequencer.sequencer import Sequencer

PROXY_CONNECTIONS: Final = 1024
"""Requests that are passed on at a time, to the operator's services and again to all others."""

Askers: TypeAlias = Callable[[], tuple[str, ...]]

_CLOCK_IDS: Final = 32
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class AppContext:
    """What every handler works with. One for each running server."""

    settings: Settings
    open_files: OpenFiles
    lexicons: Lexicons
    accounts: AccountManager
    session_tokens: SessionTokens
    checkpointer: Checkpointer
    """Of the service database and the event log."""
    actor_store: ActorStore
    blob_store: BlobStore
    sequencer: Sequencer
    tid_clock: TidClock
    rotation_key: PrivateKey
    """Signs the PLC operations of the accounts, unless an entryway does."""
    entryway: ProxyTarget | None
    """The server that owns the logins; None if this one does."""
    did_resolver: DidResolver
    handle_resolver: HandleResolver
    plc: PlcClient
    service_auth: ServiceAuth
    service_tokens: ServiceTokens
    proxy_http: SafeHttp
    """For requests that are passed on to other services, with connections of its own."""
    proxy_share: ProxyShare
    mailer: Mailer
    record_json: RecordJsonCache
    unfinished: Unfinished
    imports: Imports
    reserving: Turns
    """Reservations of signing keys, which write one after the other."""
    large_work: LargeWork
    client_addresses: ClientAddresses
    admin_guesses: AdminGuesses
    crawlers: Crawlers
    requests: RequestStatistics
    health: HealthCheck
    upload_sweep: UploadSweep
    storage: StorageSurvey
    """How much room actors and blobs take."""
    streams: Streams
    """Who may have long answers now."""
    subscribers: Subscribers
    """Consumers of the firehose, to be listed, and to be told when the server stops."""
    _closing: AsyncExitStack

    @classmethod
    async def open(
        cls,
        settings: Settings,
        *,
        min_login_ms: int = MIN_LOGIN_MS,
        mend: Callable[[AppContext], Awaitable[None]] = recover,
    ) -> AppContext:
        """Open every database and `mend` what the last stop left. The data directory is ours.

        `min_login_ms` is how long checking a password takes at least. Raises `DatabaseError`s.
        """
        async with AsyncExitStack() as stack:
            ctx = _build(settings, min_login_ms, stack)
            stack.push_async_callback(ctx.unfinished.retrier.close)
            await ctx.actor_store.remove_leftovers()
            await mend(ctx)
            ctx._closing = stack.pop_all()
        return ctx

    @property
    def did_rotation_key(self) -> str:
        """The did:key that the DIDs of accounts here must list, as that which may change them."""
        return self.settings.entryway.plc_rotation_key or self.rotation_key.did_key

    async def close(self) -> None:
        """Finish what is queued, note an orderly stop, close every file."""
        await self._closing.aclose()


CONTEXT: Final = web.AppKey("context", AppContext)


def _build(settings: Settings, min_login_ms: int, stack: AsyncExitStack) -> AppContext:
    """Open the parts in the order they need each other; `stack` closes them in reverse."""
    # First, because it may refuse the settings: no file has been touched then.
    open_files = OpenFiles()
    blob_store = _open_blob_store(settings, open_files)
    stack.push_async_callback(blob_store.close)
    tid_clock = _tid_clock()
    session_tokens = SessionTokens(
        jwt_secret=settings.secrets.jwt_secret,
        service_did=settings.service_did,
        issuer=token_issuer(settings),
    )
    checkpointer = Checkpointer()
    stack.callback(checkpointer.close)
    accounts = AccountManager(
        _open_account_database(settings, checkpointer),
        session_tokens=session_tokens,
        hostname=settings.hostname,
        min_login_ms=min_login_ms,
    )
    stack.push_async_callback(accounts.close)
    unfinished = Unfinished(Journal(accounts.db))
    sequencer = _open_sequencer(settings, checkpointer, stack)
    marker = settings.data_directory / RUN_FILE
    stack.push_async_callback(_stop, sequencer, accounts, unfinished, marker)
    actor_store = _open_actor_store(settings, blob_store, tid_clock, open_files, stack)
    client_addresses = ClientAddresses(settings.trusted_proxies)
    askers_now = partial(askers, client_addresses)
    lookup_share = StrangerShare(lookup_turns(), askers_now)
    lookups = Lookups(
        timeout_ms=settings.identity.resolver_timeout_ms, share=lookup_share, files=open_files
    )
    http = _open_http(settings, lookups, askers_now, open_files, stack)
    did_cache = _open_did_cache(settings, stack)
    plc_share = StrangerShare(plc_turns(), askers_now)
    did_resolver = _open_did_resolver(settings, did_cache, http, plc_share, stack)
    crawlers = Crawlers(settings.crawlers, host=settings.public_host, http=http)
    stack.push_async_callback(crawlers.close)
    upload_sweep = UploadSweep(actor_store, blob_store, accounts)
    stack.push_async_callback(upload_sweep.close)
    storage = StorageSurvey(partial(measure_actors_and_blobs, settings))
    stack.push_async_callback(storage.close)
    return AppContext(
        settings=settings,
        open_files=open_files,
        lexicons=default_lexicons(),
        accounts=accounts,
        session_tokens=session_tokens,
        checkpointer=checkpointer,
        actor_store=actor_store,
        blob_store=blob_store,
        sequencer=sequencer,
        tid_clock=tid_clock,
        rotation_key=K256PrivateKey.from_bytes(settings.plc_rotation_key),
        entryway=find_entryway(settings),
        did_resolver=did_resolver,
        handle_resolver=HandleResolver(
            http,
            timeout_ms=settings.identity.resolver_timeout_ms,
            lookups=lookups,
            backup_nameservers=settings.identity.handle_backup_nameservers,
            share=lookup_share,
            files=open_files,
        ),
        plc=PlcClient(settings.identity.plc_url, http),
        service_auth=ServiceAuth(
            did_resolver,
            audiences=audiences_of(settings),
            moderator_did=settings.services.mod_did,
        ),
        service_tokens=ServiceTokens(actor_store.key),
        proxy_http=_open_proxy_http(settings, lookups, open_files, stack),
        proxy_share=ProxyShare(askers_now),
        mailer=Mailer.of(settings),
        record_json=RecordJsonCache(),
        unfinished=unfinished,
        imports=Imports(),
        reserving=Turns("signing keys", at_once=1, each=1, waiting=256, waiting_each=64, wait_s=10),
        large_work=_open_large_work(stack),
        client_addresses=client_addresses,
        admin_guesses=AdminGuesses(client_addresses),
        crawlers=crawlers,
        requests=RequestStatistics(),
        health=make_health_check(settings, accounts, sequencer, did_cache, unfinished),
        upload_sweep=upload_sweep,
        storage=storage,
        streams=Streams(open_files.limit),
        subscribers=Subscribers(),
        _closing=stack,
    )


def _tid_clock() -> TidClock:
    clock_id = random.SystemRandom().randrange(_CLOCK_IDS)
    return TidClock(lambda: time.time_ns() // 1000, clock_id)


def _open_account_database(settings: Settings, checkpointer: Checkpointer) -> Database:
    db = open_account_database(
        settings.account_db_path,
        synchronous=settings.synchronous,
        wal_autocheckpoint=settings.wal_autocheckpoint,
    )
    if settings.wal_autocheckpoint is not None:
        checkpointer.watch(db)
    return db


def _open_sequencer(
    settings: Settings, checkpointer: Checkpointer, stack: AsyncExitStack
) -> Sequencer:
    sequencer = Sequencer(
        settings.sequencer_db_path,
        synchronous=settings.synchronous,
        wal_autocheckpoint=settings.wal_autocheckpoint,
        checkpointer=checkpointer,
    )
    stack.push_async_callback(sequencer.close)
    # Unfinished cannot finish without it, and tries again.
    with suppress(DatabaseFull):
        sequencer.mark_running()
    return sequencer


async def _stop(
    sequencer: Sequencer, accounts: AccountManager, unfinished: Unfinished, marker: Path
) -> None:
    """Note an orderly stop, if all that recovery would look at is in order."""
    if not unfinished.finished:
        return
    try:
        await sequencer.append()
        await accounts.repo_roots.flush()
        await end_run(accounts.db, sequencer, marker)
    except DatabaseError as exc:
        _log.error(
            "the last events or heads are not written; the next start mends it", reason=str(exc)
        )


def _open_blob_store(settings: Settings, open_files: OpenFiles) -> BlobStore:
    directory = settings.blob_directory
    if directory is None:
        problem = (
            "PDS_BLOBSTORE_S3_BUCKET is set, but blobs are kept on disk only: unset it, copy the "
            "blobs into a directory and set PDS_BLOBSTORE_DISK_LOCATION to that"
        )
        raise ConfigError([problem])
    return DiskBlobStore(
        directory,
        settings.blob_tmp_directory,
        full_sync=settings.synchronous == "FULL",
        files=open_files,
    )


def _open_large_work(stack: AsyncExitStack) -> LargeWork:
    large_work = LargeWork()
    stack.push_async_callback(asyncio.to_thread, large_work.close)
    return large_work


def _open_actor_store(
    settings: Settings,
    blob_store: BlobStore,
    tid_clock: TidClock,
    open_files: OpenFiles,
    stack: AsyncExitStack,
) -> ActorStore:
    actor_store = ActorStore(
        layout=ActorLayout(settings.actors_directory),
        blob_store=blob_store,
        clock=tid_clock,
        settings=StoreSettings(
            max_open=settings.database.actor_store_cache_size,
            synchronous=settings.synchronous,
            wal_autocheckpoint=settings.wal_autocheckpoint,
        ),
        files=open_files,
    )
    stack.push_async_callback(actor_store.close)
    return actor_store


def _open_http(
    settings: Settings,
    lookups: Lookups,
    askers: Askers,
    open_files: OpenFiles,
    stack: AsyncExitStack,
) -> SafeHttp:
    http = SafeHttp(
        allow_private=not settings.ssrf_protection,
        timeout_ms=settings.identity.resolver_timeout_ms,
        max_bytes=settings.fetch.max_response_bytes,
        connections=FETCHES,
        resolver=StrangerNames(lookups),
        share=StrangerShare(fetch_turns(), askers),
        files=open_files,
    )
    stack.push_async_callback(http.close)
    return http


def _open_proxy_http(
    settings: Settings, lookups: Lookups, open_files: OpenFiles, stack: AsyncExitStack
) -> SafeHttp:
    http = SafeHttp(
        allow_private=not settings.ssrf_protection,
        timeout_ms=settings.identity.resolver_timeout_ms,
        max_bytes=settings.fetch.max_response_bytes,
        connections=PROXY_CONNECTIONS,
        resolver=StrangerNames(lookups),
        files=open_files,
    )
    stack.push_async_callback(http.close)
    return http


def _open_did_cache(settings: Settings, stack: AsyncExitStack) -> DidCache:
    cache = DidCache.open(
        settings.did_cache_db_path, wal_autocheckpoint=settings.wal_autocheckpoint
    )
    stack.callback(cache.close)
    return cache


def _open_did_resolver(
    settings: Settings,
    cache: DidCache,
    http: SafeHttp,
    plc_share: StrangerShare,
    stack: AsyncExitStack,
) -> DidResolver:
    resolver = DidResolver(
        cache,
        http,
        plc_url=settings.identity.plc_url,
        plc_share=plc_share,
        stale_ttl_ms=settings.identity.cache_stale_ttl_ms,
        max_ttl_ms=settings.identity.cache_max_ttl_ms,
    )
    stack.push_async_callback(resolver.close)
    return resolver
