"""`Hold`: the parts of a hold, wired only here, beside the context of the server."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog
from aiohttp import web

from actor_store.errors import ActorStoreError, SigningKeyUnusable
from database.errors import DatabaseFull
from pds.config.hold.tiers import Tiers
from pds.crawlers import Announcement
from pds.disk.remedies import restore_key
from pds.hold.actor import ensure_account, write_records
from pds.hold.auth.appview import AppViewTokens
from pds.hold.auth.denials import Denials
from pds.hold.auth.token_rules import TokenRules
from pds.hold.auth.tokens import HoldTokens
from pds.hold.crew.crew import Crew
from pds.hold.crew.quotas import Quotas
from pds.hold.crew.roster import Roster
from pds.hold.database import open_hold_database
from pds.hold.gc.collector import GarbageCollector
from pds.hold.gc.manifest_check import ManifestCheck
from pds.hold.gc.manifest_phase import ManifestPhase
from pds.hold.gc.nightly import NightlyGc
from pds.hold.images.images import Images
from pds.hold.oci.service import OciService
from pds.hold.permissions import Permission
from pds.hold.personal import PersonalData
from pds.hold.profile import add_avatar
from pds.hold.repeating import end
from pds.hold.repo_index import RepoIndex
from pds.hold.stats.stats import Stats
from pds.repos.readable import get_readable_account
from repo.syntax import Did

if TYPE_CHECKING:
    from pds.context import AppContext
    from pds.xrpc.call import ReadCall

_log = structlog.get_logger(__name__)


class Hold:
    """A hold: its actor's DID, and the parts that serve its methods."""

    def __init__(self, ctx: AppContext) -> None:
        """Open the parts; `start` makes them ready. Raises `ConfigError` and `DatabaseError`s."""
        self._stack = AsyncExitStack()
        self.ctx = ctx
        hold = self.settings = ctx.settings.hold
        self.tiers = Tiers.parse(hold.tiers, default=hold.new_crew_tier)
        self.url = ctx.settings.hold_url
        self.did = Did(ctx.settings.hold_did)
        self.db = open_hold_database(ctx.settings, ctx.checkpointer, ctx.durability)
        self._stack.callback(self.db.close)
        self.roster = Roster(ctx.actor_store, self.did)
        self.crew = Crew(ctx, self.did, self.roster)
        self.quotas = Quotas(self.roster, self.tiers)
        rules = TokenRules(self.did, methods=hold.token_methods)
        self.tokens = HoldTokens(rules, ctx.did_resolver, ctx.service_auth.resolve_key)
        self.appview = AppViewTokens(rules, ctx.did_resolver, hold.appview_did)
        self.refused: Denials[tuple[str, Permission]] = Denials()
        """The latest refusals, by caller and permission."""
        self.oci = OciService(ctx, self.db)
        self._stack.push_async_callback(self.oci.close)
        self.index = RepoIndex(ctx.actor_store, self.did, self.db)
        ctx.sequencer.on_event(self.index.observe)
        self.images = Images(
            ctx,
            self.did,
            self.db,
            index=self.index,
            roster=self.roster,
            quotas=self.quotas,
            blobs=self.oci.blobs,
        )
        self.layers = self.images.layers
        self.stats = Stats(
            ctx, self.did, self.db, self.index, interval_s=hold.stats_interval_ms / 1000
        )
        self.gc = self._make_gc()
        self.nightly = NightlyGc(self.gc) if hold.gc_enabled else None
        self.personal = PersonalData(
            ctx,
            self.did,
            self.db,
            index=self.index,
            roster=self.roster,
            images=self.images,
            stats=self.stats,
        )
        self._announcement = Announcement(
            ctx.settings.hold_crawlers, host=ctx.settings.hold_host, http=ctx.proxy_http
        )
        self._stack.push_async_callback(self._announcement.close)

    async def start(self, *, announces: bool = True) -> None:
        """Make the actor if there is none yet, and bring its records in line with the settings.

        If it `announces` itself, relays and discovery services are told in the background. Raises
        `ConfigError` if the settings contradict the existing hold, and `DatabaseError`s.
        """
        try:
            await self._make_actor()
        except ActorStoreError as exc:
            # The accounts of this server, if there are any, need no hold.
            _log.error(
                "the hold cannot work, because its actor's files are damaged",
                did=self.did,
                reason=str(exc),
                remedy="pds doctor",
            )
            return
        self.oci.start()
        self._stack.push_async_callback(self.images.close)
        await self.images.start()
        self._stack.push_async_callback(self.stats.close)
        await self.stats.start()
        self._stack.push_async_callback(self.gc.close)
        if self.nightly is not None:
            self._stack.push_async_callback(self.nightly.close)
            self.nightly.start()
        if not announces:
            return
        self._announcement.start()
        picture = self.ctx.settings.hold.profile_avatar_url
        if picture is not None:
            self._run_beside(add_avatar(self.ctx, picture))

    def _make_gc(self) -> GarbageCollector:
        manifests = ManifestPhase(
            self.ctx,
            self.did,
            self.db,
            index=self.index,
            layers=self.layers,
            use=self.images.use,
            locks=self.images.locks,
            check=ManifestCheck(self.ctx).check,
        )
        return GarbageCollector(
            self.db,
            storage=self.oci.storage,
            blobs=self.oci.blobs,
            use=self.images.use,
            manifests=manifests,
        )

    async def _make_actor(self) -> None:
        await ensure_account(self.ctx)
        self._check_key()
        await self.roster.load()
        try:
            await write_records(self.ctx, self.roster)
        except DatabaseFull as exc:
            if not await self.roster.has_captain():
                raise
            _log.error(
                "the hold's records wait until the disk has space",
                reason=exc.reason,
                remedy="Free space. The server then continues by itself.",
            )
            self.ctx.unfinished.retrier.later(
                "the hold's records", partial(write_records, self.ctx, self.roster)
            )

    def _check_key(self) -> None:
        """Log a missing key, which did.json needs: a start that signs nothing would not notice."""
        try:
            self.ctx.actor_store.key(self.did)
        except SigningKeyUnusable as exc:
            _log.error(
                "the hold can sign nothing and has no DID document",
                did=self.did,
                reason=exc.reason,
                remedy=restore_key(self.ctx.actor_store.layout.key(self.did)),
            )

    def check_served(self) -> None:
        """Raise `RepoTakendown` if the operator has taken the hold's actor down."""
        get_readable_account(self.ctx, self.did, lambda _: False)

    def _run_beside(self, work: Coroutine[None, None, None]) -> None:
        """Run `work` in the background until it ends or the hold closes."""
        self._stack.push_async_callback(end, [asyncio.create_task(work)])

    async def close(self) -> None:
        """Write what is counted, and close every part."""
        await self._stack.aclose()


HOLD: Final = web.AppKey("hold", Hold)
"""The application's hold, if it is one."""


def hold_of(call: ReadCall) -> Hold:
    """Return the hold that a method is called on. Raises `RepoTakendown` if it is taken down."""
    hold = call.request.app[HOLD]
    hold.check_served()
    return hold
