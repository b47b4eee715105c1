"""Deleting, periodically, the uploads that no record refers to.

Otherwise an account could fill the disk with unused blobs, and the remains of interrupted uploads
would stay forever. Clients upload first and write the record afterwards, and a migration uploads
blobs before the account has records: so uploads are kept for days, and those of inactive accounts
are not deleted.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

import structlog

from actor_store.blob_store.base import BlobStoreError
from actor_store.blobs import SweptUploads
from actor_store.errors import ActorStoreError, RepoNotFound
from database.errors import DatabaseError
from pds.peers.calls import HasPeers, by_owner
from pds.peers.link import PeerGone

if TYPE_CHECKING:
    from actor_store.blob_store.base import BlobStore
    from actor_store.store import ActorStore
    from pds.accounts.register import AccountRegister

KEPT_S: Final = 7 * 24 * 60 * 60
"""How long an unreferenced upload is kept: users post drafts days later."""
_FIRST_S: Final = 60.0
_EVERY_S: Final = 60 * 60.0
_BATCH: Final = 100
"""Uploads of one account that are deleted per step."""
_REST_FACTOR: Final = 20
"""The pause after each step, as a multiple of the step's duration."""
_MAX_REST_S: Final = 5.0

_log = structlog.get_logger(__name__)


class SweepContext(HasPeers, Protocol):
    """A context, as far as sweeping needs it."""

    @property
    def actor_store(self) -> ActorStore:
        """The actors."""

    @property
    def blob_store(self) -> BlobStore:
        """The bytes of their blobs."""

    @property
    def accounts(self) -> AccountRegister:
        """Their accounts."""


@by_owner
async def sweep_uploads(
    ctx: SweepContext, did: str, *, before_s: float, limit: int, parts_only: bool
) -> SweptUploads:
    """Sweep where the actor is written, so that no record takes an upload meanwhile."""
    return await ctx.actor_store.blob_files.sweep(
        did, before_s=before_s, limit=limit, parts_only=parts_only
    )


class UploadSweep:
    """Checks the uploads of every account each hour, slowly. Belongs to one event loop."""

    def __init__(self, ctx: SweepContext, *, clock: Callable[[], float] = time.time) -> None:
        """Use `clock`, which returns Unix seconds."""
        self._ctx = ctx
        self._clock = clock
        self._started_s = clock() - time.monotonic()
        self._task: asyncio.Task[None] | None = None
        self.removed = SweptUploads()
        """Everything removed since the start."""

    def start(self) -> None:
        """Start sweeping periodically, until `close`."""
        self._task = asyncio.get_running_loop().create_task(self._go_on())

    async def close(self) -> None:
        """Stop sweeping."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def sweep(self) -> None:
        """Sweep all accounts once. A failure for one is logged and does not end the sweep."""
        before = self.removed
        for did in await self._ctx.blob_store.list_temp_dids():
            while await self._sweep_batch(did):
                pass
        now = self.removed
        if now != before:
            _log.info(
                "removed uploads that no record refers to",
                uploads=now.uploads - before.uploads,
                bytes=now.size_bytes - before.size_bytes,
                parts=now.parts - before.parts,
            )

    async def _go_on(self) -> None:
        await asyncio.sleep(_FIRST_S)
        while True:
            try:
                await self.sweep()
            except (BlobStoreError, OSError) as exc:
                _log.warning("uploads were not swept", reason=str(exc))
            await asyncio.sleep(_EVERY_S)

    def _now_s(self) -> float:
        """Return the time by the clock at start or by the clock now, whichever is earlier.

        A machine may start with its clock days behind, so that uploads made before the clock was
        corrected look old afterwards; or the clock may be ahead for a moment.
        """
        return min(self._clock(), self._started_s + time.monotonic())

    async def _sweep_batch(self, did: str) -> bool:
        """Remove a batch of an account's uploads; return whether there are more."""
        started = time.monotonic()
        try:
            account = self._ctx.accounts.find_account(did, include_inactive=True)
            if account is not None and not self._ctx.actor_store.exists(did):
                # The missing store may be restored, and its records may refer to the uploads.
                raise RepoNotFound(did)
            swept = await sweep_uploads(
                self._ctx,
                did,
                before_s=self._now_s() - KEPT_S,
                limit=_BATCH,
                parts_only=account is None or not account.active,
            )
        except (ActorStoreError, BlobStoreError, DatabaseError, OSError, PeerGone) as exc:
            _log.warning("uploads were not swept", did=did, reason=str(exc))
            return False
        self.removed += swept
        await asyncio.sleep(min(_REST_FACTOR * (time.monotonic() - started), _MAX_REST_S))
        return swept.uploads == _BATCH
