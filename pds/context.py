"""`AppContext`: the parts of a full server, wired here, opened together and closed in order.

It adds to a `ReadContext` those for writes, logins and requests to other services.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from actor_store.blob_store.moving import MovingBlobStore
from database.connection import Database
from identity.http import SafeHttp
from pds.accounts.accounts import Accounts
from pds.accounts.logins import MIN_LOGIN_MS
from pds.accounts.session_tokens import SessionTokens, TokenIssuer
from pds.administration.administration import Administration
from pds.administration.whole_server import read_load
from pds.config import Settings
from pds.config.settings import ServiceTarget
from pds.crawlers import Crawlers
from pds.disk.data_directory import RUN_FILE
from pds.fairness.per_process import per_process
from pds.fairness.proxy_share import ProxyShare
from pds.fairness.turns import Turns
from pds.hold_document import find_hold_document
from pds.mail.mailer import Mailer
from pds.oauth.access import OAuthAccess
from pds.oauth.derived_secrets import derived_secret
from pds.oauth.opening import open_entryway_access, open_oauth
from pds.oauth.provider import OAuth
from pds.opening import (
    open_retention,
)
from pds.peers.peers import Peers
from pds.pending.blob_move import BlobMove
from pds.pending.blob_movers import MoreBlobs
from pds.pending.import_turns import Imports
from pds.pending.later import Later
from pds.pending.run_record import end_run
from pds.pending.upload_sweep import UploadSweep
from pds.rate_limits.admin_guesses import AdminGuesses
from pds.rate_limits.memory import MemoryStore
from pds.rate_limits.shared import SharedStore
from pds.read_context import ReadContext
from pds.second_factors.passkeys import RelyingParty
from pds.second_factors.second_factors import SecondFactors
from pds.service_auth.issuer import ServiceTokens
from pds.service_auth.verifier import ServiceAuth
from repo.keys import K256PrivateKey, K256PublicKey, PrivateKey
from repo.syntax import Did
from sequencer.retention import Retention

PROXY_CONNECTIONS: Final = 1024
"""Concurrent proxied requests, to the operator's services and separately to all others."""


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
    counters: MemoryStore | SharedStore
    """Counts requests and guesses for all processes of this server."""
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
        self.imports = Imports(processes=self.peers.answering)
        self.reserving = Turns(
            "signing keys", at_once=1, each=1, waiting=256, waiting_each=64, wait_s=10
        )
        self.copying = Turns(
            "moves of accounts",
            at_once=per_process(3, self.peers.answering),
            each=1,
            waiting=50,
            waiting_each=1,
            wait_s=3600,
        )
        self.counters = MemoryStore() if self.peers.first is None else SharedStore(self)
        stack.push_async_callback(self.counters.close)
        self.admin_guesses = AdminGuesses(self.client_addresses, self.counters)
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
            processes=self.peers.answering,
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
        retention = open_retention(self.settings, self.event_log, self.checkpointer)
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


async def open_worker_context(
    settings: Settings, peers: Peers, *, min_login_ms: int = MIN_LOGIN_MS
) -> AppContext:
    """Open every part in a worker, after the first process has recovered from the last stop.

    Checking a password takes at least `min_login_ms`. Raises `ConfigError` and `DatabaseError`s.
    """
    async with AsyncExitStack() as stack:
        ctx = AppContext(settings, stack, peers, min_login_ms=min_login_ms)
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
