"""Moving all blobs from one store to another, while the server uses both.

The move goes on as long as a command asks for its progress: it stops some seconds after the last
question. What has been moved is no longer in the old store, so the next move begins with what is
left, and no state of its own is needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import structlog

from actor_store.errors import ActorStoreError
from database.errors import DatabaseError
from pds.pending.blob_move_run import MoveRun, State
from pds.pending.blob_movers import AccountMover

if TYPE_CHECKING:
    from actor_store.blob_store.moving import MovingBlobStore
    from actor_store.store import ActorStore
    from pds.pending.blob_movers import MoreBlobs, Mover
    from repo.cid import Cid

_LEASE_S: Final = 20.0
"""How long the move goes on without being asked for."""
_ANSWER_S: Final = 1.0
"""How long an answer waits for the end of the move."""

_log = structlog.get_logger(__name__)


class BlobMove:
    """Moves all blobs of a `MovingBlobStore` and more, one run at a time.

    Belongs to one event loop.
    """

    def __init__(
        self,
        store: MovingBlobStore,
        actor_store: ActorStore,
        more: Sequence[MoreBlobs] = (),
    ) -> None:
        """`more` has blobs that are in no `BlobStore`, and may grow before the first run."""
        self._accounts = AccountMover(store, self._find_upload)
        self._actor_store = actor_store
        self._more = more
        self._run: MoveRun | None = None
        self._task: asyncio.Task[None] | None = None

    async def go_on(
        self, run_id: str | None, *, bytes_per_s: float | None, answer_s: float = _ANSWER_S
    ) -> MoveRun:
        """Continue the move for a while, and return its progress.

        `run_id` is that of the last answer, and None to begin with. A run that ends is returned
        until another one is asked for; two callers share a run. Copies no more than `bytes_per_s`;
        None sets no limit.
        """
        run = self._run
        if run is not None and run.is_stopping and self._task is not None:
            await asyncio.wait((self._task,))
        has_ended = run is not None and run.state is not State.MOVING
        if run is None or run.state is State.STOPPED or (has_ended and run.id != run_id):
            run = self._run = self._start()
        run.limit(until_s=asyncio.get_running_loop().time() + _LEASE_S, bytes_per_s=bytes_per_s)
        if self._task is not None:
            await asyncio.wait((self._task,), timeout=answer_s)
        return run

    async def close(self) -> None:
        """Stop moving. Copies under way are dropped, and what was moved stays moved."""
        if self._run is not None and self._task is not None:
            self._run.stop()
            await asyncio.wait((self._task,))

    def _start(self) -> MoveRun:
        movers: list[Mover[Any]] = [self._accounts]
        movers += (more.mover for more in self._more if more.mover is not None)
        run = MoveRun(movers)
        self._task = asyncio.get_running_loop().create_task(self._go(run))
        return run

    async def _go(self, run: MoveRun) -> None:
        _log.info("moving blobs to another store")
        await run.go()
        _log.info(
            "moving blobs has ended",
            state=run.state,
            blobs=run.moved_blobs,
            bytes=run.moved_bytes,
            left=run.left_count,
            reason=run.failure or None,
        )

    async def _find_upload(self, did: str, key: str) -> Cid | None:
        """Return the CID of temporary bytes; None if no row refers to them, or none can be read."""
        try:
            return await self._actor_store.read(did, lambda actor: actor.blob.find_temp(key))
        except (ActorStoreError, DatabaseError):
            return None
