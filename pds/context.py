"""The parts of a running server, wired only here, opened together and closed in order.

`ReadContext` has the parts that serving reads needs. `AppContext` adds those for writes, logins and
requests to other services.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Final
from urllib.parse import urlsplit

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
from pds.accounts.accounts import Accounts
from pds.accounts.logins import MIN_LOGIN_MS
from pds.accounts.register import AccountRegister
from pds.accounts.session_tokens import SessionTokens, TokenIssuer
from pds.administration.administration import Administration
from pds.administration.whole_server import read_load
from pds.config import Settings
from pds.config.settings import ServiceTarget
from pds.crawlers import Crawlers
from pds.disk.data_directory import RUN_FILE
from pds.disk.survey import StorageSurvey
from pds.disk.usage import measure_actors_and_blobs
from pds.fairness.large_work import LargeWork
from pds.fairness.proxy_share import ProxyShare
from pds.fairness.stranger_share import FETCHES, StrangerShare, fetch_turns, lookup_turns, plc_turns
from pds.fairness.streams import Streams
from pds.fairness.turns import Turns
from pds.hold_document import find_hold_document
from pds.mail.mailer import Mailer
from pds.monitoring.health.check import HealthCheck
from pds.monitoring.health.server_check import make_health_check
from pds.monitoring.requests.asker import askers
from pds.monitoring.requests.client_address import ClientAddresses
from pds.monitoring.requests.statistics import RequestStatistics
from pds.monitoring.requests.subscribers import Subscribers
from pds.oauth.access import OAuthAccess
from pds.oauth.derived_secrets import derived_secret
from pds.oauth.opening import open_entryway_access, open_oauth
from pds.oauth.provider import OAuth
from pds.opening import (
    open_accounts,
    open_actor_store,
    open_blob_links,
    open_blob_store,
    open_bucket,
    open_did_cache,
    open_durability,
    open_remote_sequencer,
    open_retention,
    open_sequencer,
)
from pds.peers.locks import AccountLocks
from pds.peers.peers import Peers
from pds.pending.blob_move import BlobMove
from pds.pending.blob_movers import MoreBlobs
from pds.pending.import_turns import Imports
from pds.pending.journal import Journal
from pds.pending.later import Later
from pds.pending.run_record import end_run
from pds.pending.unfinished import Unfinished
from pds.pending.upload_sweep import UploadSweep
from pds.rate_limits.admin_guesses import AdminGuesses
from pds.second_factors.passkeys import RelyingParty
from pds.second_factors.second_factors import SecondFactors
from pds.service_auth.issuer import ServiceTokens
from pds.service_auth.verifier import ServiceAuth
from repo.keys import K256PrivateKey, K256PublicKey, PrivateKey
from repo.lexicon import Lexicons, default_lexicons
from repo.syntax import Did
from repo.tid import TidClock
from sequencer.remote import AnySequencer
from sequencer.retention import Retention
from sequencer.sequencer import Sequencer

PROXY_CONNECTIONS: Final = 1024
"""Concurrent proxied requests, to the operator's services and separately to all others."""

_CLOCK_IDS: Final = 32
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
        self.blob_store = open_blob_store(settings, self.bucket, self.open_files, stack)
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
        self.tid_clock = _tid_clock()
        self.actor_store = open_actor_store(
            settings,
            self.accounts,
            self.blob_store,
            self.tid_clock,
            self.open_files,
            self.durability,
            stack,
        )
        self.record_json = RecordJsonCache()
        self.large_work = _open_large_work(stack)
        self.streams = Streams(self.open_files.limit)
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
        did_cache = open_did_cache(self.settings, stack)
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


class AppContext(ReadContext):
    """The parts that the handlers of a full server use."""

    accounts: Accounts
    session_tokens: SessionTokens
    rotation_key: PrivateKey
    """Signs the PLC operations of the accounts, unless an entryway does."""
    entryway: ServiceTarget | None
    """The server that handles logins; None if this one does."""
    service_auth: ServiceAuth
    service_tokens: ServiceTokens
    proxy_http: SafeHttp
    """For requests proxied to other services, with its own connection pool."""
    proxy_share: ProxyShare
    mailer: Mailer
    second_factors: SecondFactors
    imports: Imports
    reserving: Turns
    """Turns at reserving signing keys, which are written one at a time."""
    copying: Turns
    """Turns at copying accounts that move in or out, which takes minutes."""
    admin_guesses: AdminGuesses
    crawlers: Crawlers
    administration: Administration
    """What only the pages of the administrator need."""
    later: Later
    """Work that goes on after an answer."""
    oauth: OAuth | None
    """The authorization server; None if an entryway is it."""
    oauth_access: OAuthAccess
    """Checks the access tokens of OAuth clients, whoever issues them."""
    upload_sweep: UploadSweep
    retention: Retention | None
    """Deletes old events; None where the log is not written."""
    more_blobs: list[MoreBlobs]
    """Blobs that are kept in the same place and belong to no account, such as a hold's layers."""
    blob_move: BlobMove | None = None
    """Moves all blobs; None if there is only one place for them."""

    def __init__(
        self,
        settings: Settings,
        stack: AsyncExitStack,
        peers: Peers | None = None,
        *,
        min_login_ms: int = MIN_LOGIN_MS,
    ) -> None:
        """Open the parts as `ReadContext` does. A password check takes at least `min_login_ms`."""
        # Before the others, because the accounts need them.
        self.session_tokens = _session_tokens(settings)
        self._min_login_ms = min_login_ms
        super().__init__(settings, stack, peers)
        if settings.hold.enabled:
            self.did_resolver.answer_for(
                Did(settings.hold_did),
                partial(find_hold_document, settings, self.accounts, self.actor_store),
            )
        self.rotation_key = K256PrivateKey.from_bytes(settings.plc_rotation_key)
        self.entryway = settings.entryway_service
        self.service_auth = ServiceAuth(
            self.did_resolver,
            audiences=_audiences(settings),
            moderator_did=settings.services.mod_did,
        )
        self.service_tokens = ServiceTokens(self.actor_store.key)
        self.proxy_http = self._open_http(stack, PROXY_CONNECTIONS)
        self.proxy_share = ProxyShare(self.askers)
        self.mailer = Mailer.of(settings)
        self.second_factors = self._make_second_factors()
        self.imports = Imports()
        self.reserving = Turns(
            "signing keys", at_once=1, each=1, waiting=256, waiting_each=64, wait_s=10
        )
        self.copying = Turns(
            "moves of accounts", at_once=3, each=1, waiting=50, waiting_each=1, wait_s=3600
        )
        self.admin_guesses = AdminGuesses(self.client_addresses)
        self.crawlers = Crawlers(settings.crawlers, host=settings.public_host, http=self.fetch_http)
        stack.push_async_callback(self.crawlers.close)
        self.administration = Administration(
            settings,
            stack,
            self.accounts.db,
            read_load=partial(read_load, self),
            mailer=self.mailer,
            crawlers=self.crawlers,
        )
        self.later = Later()
        stack.push_async_callback(self.later.close)
        self.oauth = None if self.entryway else self._open_oauth(stack)
        self.oauth_access = self._open_oauth_access(stack)
        self.upload_sweep = UploadSweep(self)
        stack.push_async_callback(self.upload_sweep.close)
        self.retention = self._open_retention(stack)
        self.more_blobs = []
        if isinstance(self.blob_store, MovingBlobStore):
            self.blob_move = BlobMove(self.blob_store, self.actor_store, self.more_blobs)
            stack.push_async_callback(self.blob_move.close)

    def _make_accounts(self, db: Database) -> Accounts:
        return Accounts(
            db,
            session_tokens=self.session_tokens,
            hostname=self.settings.hostname,
            min_login_ms=self._min_login_ms,
        )

    def _make_second_factors(self) -> SecondFactors:
        settings = self.settings
        origin = settings.public_url
        return SecondFactors(
            self.accounts.db,
            secret=derived_secret(settings.secrets.jwt_secret, "second factors"),
            party=RelyingParty(
                id=urlsplit(origin).hostname or settings.hostname,
                name=settings.service_name,
                origin=origin,
            ),
            required=settings.signin.require_second_factor,
        )

    def _open_oauth(self, stack: AsyncExitStack) -> OAuth:
        return open_oauth(
            self.settings,
            stack,
            accounts=self.accounts,
            actor_store=self.actor_store,
            http=self.fetch_http,
            lookups=self._lookups,
            dids=self.did_resolver,
        )

    def _open_retention(self, stack: AsyncExitStack) -> Retention | None:
        if self.peers.first is not None:
            return None
        retention = open_retention(self.settings, self.event_log)
        stack.push_async_callback(retention.close)
        return retention

    def _open_oauth_access(self, stack: AsyncExitStack) -> OAuthAccess:
        if self.oauth is not None:
            return self.oauth.access
        key = _entryway_key(self.settings)
        return open_entryway_access(self.settings, stack, key, self.session_tokens, self.fetch_http)

    async def _end_run(self) -> None:
        await end_run(self.accounts.db, self.event_log, self.settings.data_directory / RUN_FILE)

    @property
    def did_rotation_key(self) -> str:
        """The did:key that the DIDs of accounts here must list as a rotation key."""
        return self.settings.entryway.plc_rotation_key or self.rotation_key.did_key


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


async def open_app_context(
    settings: Settings,
    recover: Callable[[AppContext], Awaitable[None]],
    peers: Peers | None = None,
    *,
    min_login_ms: int = MIN_LOGIN_MS,
) -> AppContext:
    """Open every part, and `recover` from the last stop. The caller has claimed the data directory.

    Checking a password takes at least `min_login_ms`. Raises `ConfigError` and `DatabaseError`s.
    """
    async with AsyncExitStack() as stack:
        ctx = AppContext(settings, stack, peers, min_login_ms=min_login_ms)
        if ctx.event_log.run.was_unclean:
            # Looks at all actors, which after an orderly stop are whole.
            await ctx.actor_store.remove_leftovers()
        await recover(ctx)
        ctx.closing = stack.pop_all()
    return ctx


async def open_worker_context(settings: Settings, peers: Peers) -> AppContext:
    """Open every part in a worker, after the first process has recovered from the last stop.

    Raises `ConfigError` and `DatabaseError`s.
    """
    async with AsyncExitStack() as stack:
        ctx = AppContext(settings, stack, peers)
        ctx.unfinished.finished = True
        ctx.closing = stack.pop_all()
    return ctx


def _session_tokens(settings: Settings) -> SessionTokens:
    service = settings.entryway_service
    issuer = None if service is None else TokenIssuer(service.did, _entryway_key(settings))
    return SessionTokens(
        jwt_secret=settings.secrets.jwt_secret, service_did=settings.service_did, issuer=issuer
    )


def _entryway_key(settings: Settings) -> K256PublicKey:
    """Return the key that the entryway signs its tokens with."""
    return K256PublicKey.from_bytes(bytes.fromhex(settings.entryway.jwt_verify_key_hex or ""))


def _audiences(settings: Settings) -> tuple[str, ...]:
    """Return the audiences that service tokens for this server may name."""
    service = settings.entryway_service
    return (settings.service_did,) if service is None else (settings.service_did, service.did)


def _tid_clock() -> TidClock:
    clock_id = random.SystemRandom().randrange(_CLOCK_IDS)
    return TidClock(lambda: time.time_ns() // 1000, clock_id)


def _open_large_work(stack: AsyncExitStack) -> LargeWork:
    large_work = LargeWork()
    stack.push_async_callback(asyncio.to_thread, large_work.close)
    return large_work
