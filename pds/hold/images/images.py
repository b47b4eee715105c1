"""`Images`: the layers of images, uses of their blobs, and pushes, wired only here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from actor_store.errors import ActorStoreError
from actor_store.keyed_locks import KeyedLocks
from database.errors import DatabaseError
from pds.hold.images.blob_use import BlobUse
from pds.hold.images.layers import Layers
from pds.hold.images.posts import Posts
from pds.hold.images.pushes import Pushes

if TYPE_CHECKING:
    from database.connection import Database
    from pds.context import AppContext
    from pds.hold.crew.quotas import Quotas
    from pds.hold.crew.roster import Roster
    from pds.hold.oci.blobs import Blobs
    from pds.hold.repo_index import RepoIndex
    from repo.syntax import Did

_log = structlog.get_logger(__name__)


class Images:
    """The layers of images, the uses of their blobs, and the pushes that name them."""

    def __init__(
        self,
        ctx: AppContext,
        did: Did,
        db: Database,
        *,
        index: RepoIndex,
        roster: Roster,
        quotas: Quotas,
        blobs: Blobs,
    ) -> None:
        """Open the parts for the hold `did`; `start` makes them ready."""
        self._index = index
        self.layers = Layers(ctx.actor_store, did, db, index)
        self.use = BlobUse(db, kept_s=ctx.settings.hold.gc_grace_ms / 1000)
        blobs.on_use = self.use.touch
        self.locks = KeyedLocks()
        """By DID of a user: held while their layer records are written or deleted."""
        self.pushes = Pushes(
            ctx,
            did,
            layers=self.layers,
            posts=Posts(db),
            roster=roster,
            blobs=blobs,
            locks=self.locks,
            find_limit=quotas.limit_of,
        )

    async def start(self) -> None:
        """Bring the index up to date, and begin to work in the background."""
        try:
            await self._index.start()
        except (ActorStoreError, DatabaseError) as exc:
            # The next request for layers or stats tries again.
            _log.error("the hold's records are not indexed yet", reason=str(exc))
        self.use.start()

    async def close(self) -> None:
        """Write what is in memory. What cannot be written is found again, or seconds of it lost."""
        try:
            await self.use.close()
            await self._index.close()
        except (ActorStoreError, DatabaseError) as exc:
            _log.error("what is known of images is not up to date on disk", reason=str(exc))
