"""Compacting actors, some at a time: those with many files, while Litestream has them closed."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from database.errors import DatabaseError
from pds.replication.compacting.compaction import compact
from pds.replication.copies.at_once import for_each
from pds.replication.errors import DamagedReplicaFile, ReplicationError
from pds.replication.replica import names

if TYPE_CHECKING:
    from collections.abc import Callable

    from pds.replication.ledger.ledger import Ledger
    from pds.replication.replica.place import ReplicaPlace
    from pds.replication.syncing.dirty_queue import DirtyQueue
    from pds.replication.syncing.open_actors import OpenActors

MANY_FILES: Final = 32
"""Files since the last compaction that are worth another one."""
_TOO_MANY: Final = 8 * MANY_FILES
"""Files at which an actor that is open all the time is closed for it."""
_AT_ONCE: Final = 2
_STEP_S: Final = 5.0
_AFTER_ERROR_S: Final = 900.0
_AFTER_DAMAGE_S: Final = 30.0

_log = structlog.get_logger(__name__)


class Compactions:
    """Keeps the replicas of actors small."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        place: ReplicaPlace,
        opened: OpenActors,
        queue: DirtyQueue,
        retention_s: float,
        may_write: Callable[[], bool],
    ) -> None:
        """`may_write` says whether the replica can be reached, and is ours."""
        self._ledger = ledger
        self._place = place
        self._opened = opened
        self._queue = queue
        self._retention_s = retention_s
        self._may_write = may_write
        self.done = 0
        self.error: str | None = None
        """Why the last one failed; None if it did not."""

    async def run(self) -> None:
        """Compact whatever is due, until cancelled."""
        while True:
            more = False
            try:
                if self._may_write():
                    more = await self.compact_some()
            except DatabaseError as exc:
                self.error = str(exc)
            if not more:
                await asyncio.sleep(_STEP_S)

    async def compact_some(self) -> bool:
        """Compact the most urgent actors; return whether there were any.

        Raises `DatabaseError`s of the ledger.
        """
        now_ms = int(time.time() * 1000)
        found = self._ledger.actors.to_compact(
            now_ms, at_least=MANY_FILES, limit=_AT_ONCE + len(self._opened.hot)
        )
        hot = self._opened.hot
        chosen = [did for did, files in found if did not in hot or files >= _TOO_MANY][:_AT_ONCE]
        await for_each(chosen, self._compact, at_once=_AT_ONCE)
        return bool(chosen)

    async def _compact(self, did: str) -> None:
        try:
            async with self._opened.closed(did):
                next_s = await self._compact_closed(did)
            self.error = None
        except DamagedReplicaFile as exc:
            # What is sent now is complete, and the next compaction makes a snapshot of it.
            self._note(did, exc)
            next_s = time.time() + _AFTER_DAMAGE_S
        except (ReplicationError, OSError) as exc:
            self._note(did, exc)
            next_s = time.time() + _AFTER_ERROR_S
        next_ms = None if next_s is None else int(next_s * 1000)
        await self._ledger.write(partial(self._ledger.actors.set_compacted, did, next_ms=next_ms))

    def _note(self, did: str, exc: Exception) -> None:
        self.error = f"{did}: {exc}"
        _log.warning("an actor cannot be compacted", did=did, reason=str(exc))

    async def _compact_closed(self, did: str) -> float | None:
        """Compact an actor that nobody syncs meanwhile; return when that is due again."""
        try:
            done = await compact(
                self._place,
                names.actor_database(did),
                now_s=time.time(),
                retention_s=self._retention_s,
            )
        except DamagedReplicaFile:
            # The newest state cannot be restored any more, but it is still here.
            await self._opened.discard(did)
            await self._queue.mark({did: self._queue.now_ms})
            raise
        self.done += 1
        if done.damaged:
            _log.warning(
                "files of the replica are damaged: some older states are lost",
                did=did,
                files=done.damaged[:10],
            )
        return done.due_s
