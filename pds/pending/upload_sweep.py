"""Deleting, now and then, the uploads that no record has come to refer to.

An account could otherwise fill the disk with what nobody ever sees, and what an interrupted upload
has left would stay for good. A client uploads first and writes the record afterwards, and one that
moves an account in uploads before there is any record: so uploads have days, and those of accounts
that are not active stay.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import structlog

from actor_store.blob_store.base import BlobStoreError
from actor_store.blobs import SweptUploads
from actor_store.errors import ActorStoreError, RepoNotFound
from database.errors import DatabaseError

if TYPE_CHECKING:
    from actor_store.blob_store.base import BlobStore
    from actor_store.store import ActorStore
    from pds.accounts.register import AccountRegister

KEPT_S: Final = 7 * 24 * 60 * 60
"""How long an upload waits for a record: drafts are kept for days, and posted then."""
_FIRST_S: Final = 60.0
_EVERY_S: Final = 60 * 60.0
_BATCH: Final = 100
"""Uploads of one account that are deleted at a time."""
_REST_FACTOR: Final = 20
"""How long a sweep rests after each step, as a multiple of what the step took."""
_MAX_REST_S: Final = 5.0

_log = structlog.get_logger(__name__)


class UploadSweep:
    """Looks at the uploads of every account each hour, without haste. Belongs to an event loop."""

    def __init__(
        self,
        actor_store: ActorStore,
        blob_store: BlobStore,
        accounts: AccountRegister,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` is in Unix seconds."""
        self._actor_store = actor_store
        self._blob_store = blob_store
        self._accounts = accounts
        self._clock = clock
        self._started_s = clock() - time.monotonic()
        self._task: asyncio.Task[None] | None = None
        self.removed = SweptUploads()
        """All since the start."""

    def start(self) -> None:
        """Begin to sweep now and then, until `close`."""
        self._task = asyncio.get_running_loop().create_task(self._go_on())

    async def close(self) -> None:
        """Stop sweeping."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))

    async def sweep(self) -> None:
        """Go through all accounts once. What fails for one is logged and does not end it."""
        before = self.removed
        for did in await self._blob_store.list_temp_dids():
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
            except OSError as exc:
                _log.warning("uploads were not swept", reason=str(exc))
            await asyncio.sleep(_EVERY_S)

    def _now_s(self) -> float:
        """The time, as it is told by the clock at the start or now, whichever is behind.

        A machine may start with its clock days behind, and what has been uploaded before the clock
        was set right looks old then; or the clock may be ahead for a moment.
        """
        return min(self._clock(), self._started_s + time.monotonic())

    async def _sweep_batch(self, did: str) -> bool:
        """Remove some of one account's. Return whether there are more."""
        started = time.monotonic()
        try:
            account = self._accounts.find_account(did, include_inactive=True)
            if account is not None and not self._actor_store.exists(did):
                # Its store may be about to be restored, and say what is referred to.
                raise RepoNotFound(did)
            swept = await self._actor_store.sweep_uploads(
                did,
                before_s=self._now_s() - KEPT_S,
                limit=_BATCH,
                parts_only=account is None or not account.active,
            )
        except (ActorStoreError, BlobStoreError, DatabaseError, OSError) as exc:
            _log.warning("uploads were not swept", did=did, reason=str(exc))
            return False
        self.removed += swept
        await asyncio.sleep(min(_REST_FACTOR * (time.monotonic() - started), _MAX_REST_S))
        return swept.uploads == _BATCH
