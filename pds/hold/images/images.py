"""`Images`: what a hold knows of images beside their bytes, wired only here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from actor_store.errors import ActorStoreError
from actor_store.keyed_locks import KeyedLocks
from database.errors import DatabaseError
from pds.hold.gc.collector import GarbageCollector
from pds.hold.gc.manifest_check import ManifestCheck
from pds.hold.gc.manifest_phase import ManifestPhase
from pds.hold.gc.nightly import NightlyGc
from pds.hold.images.blob_use import BlobUse
from pds.hold.images.layers import Layers
from pds.hold.images.posts import Posts
from pds.hold.images.pushes import Pushes
from pds.hold.images.repo_index import RepoIndex
from pds.hold.stats.stats import Stats

if TYPE_CHECKING:
    from database.connection import Database
    from pds.context import AppContext
    from pds.hold.crew.quotas import Quotas
    from pds.hold.crew.roster import Roster
    from pds.hold.oci.service import OciService
    from repo.syntax import Did

_log = structlog.get_logger(__name__)


class Images:
    """Counts of pulls and pushes, layers, and the collection of those that nobody uses."""

    def __init__(
        self,
        ctx: AppContext,
        did: Did,
        db: Database,
        *,
        roster: Roster,
        quotas: Quotas,
        oci: OciService,
    ) -> None:
        """Open the parts for the hold `did`; `start` makes them ready."""
        hold = ctx.settings.hold
        self.index = RepoIndex(ctx.actor_store, did, db)
        ctx.sequencer.on_event(self.index.observe)
        self.stats = Stats(ctx, did, db, self.index, interval_s=hold.stats_interval_ms / 1000)
        self.layers = Layers(ctx.actor_store, did, db, self.index)
        self.use = BlobUse(db, kept_s=hold.gc_grace_ms / 1000)
        oci.blobs.on_use = self.use.touch
        self.locks = locks = KeyedLocks()
        """By DID of a user: held while their layer records are written or deleted."""
        self.pushes = Pushes(
            ctx,
            did,
            layers=self.layers,
            posts=Posts(db),
            roster=roster,
            blobs=oci.blobs,
            locks=locks,
            find_limit=quotas.limit_of,
        )
        manifests = ManifestPhase(
            ctx,
            did,
            db,
            index=self.index,
            layers=self.layers,
            use=self.use,
            locks=locks,
            check=ManifestCheck(ctx).check,
        )
        self.gc = GarbageCollector(
            db, storage=oci.storage, blobs=oci.blobs, use=self.use, manifests=manifests
        )
        self._nightly = NightlyGc(self.gc) if hold.gc_enabled else None

    async def start(self) -> None:
        """Bring the index up to date, and begin to work in the background."""
        try:
            await self.index.start()
        except (ActorStoreError, DatabaseError) as exc:
            # The next request for layers or stats tries again.
            _log.error("the hold's records are not indexed yet", reason=str(exc))
        self.use.start()
        await self.stats.start()
        if self._nightly is not None:
            self._nightly.start()

    async def close(self) -> None:
        """Write what is in memory. What cannot be written is found again, or seconds of it lost."""
        if self._nightly is not None:
            await self._nightly.close()
        await self.gc.close()
        await self.stats.close()
        try:
            await self.use.close()
            await self.index.close()
        except (ActorStoreError, DatabaseError) as exc:
            _log.error("what is known of images is not up to date on disk", reason=str(exc))
