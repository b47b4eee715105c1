"""Stopping Litestream while nothing may be written to the replica.

That is so while the lease is not held: Litestream would go on by itself as soon as the place
answers again, whoever has taken the replica over meanwhile. And while the disk of a replica in a
directory is not mounted: Litestream makes the directories that it lacks, so it would fill the mount
point, and take everything there for sent. Where the supervisor itself stands still, `Deadline`
stops Litestream once the lease may be another's.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from database.errors import DatabaseError
from pds.replication.errors import LitestreamFailed, ReplicaUnavailable
from pds.replication.replica.file_place import FilePlace
from pds.replication.supervising.deadline import Deadline

if TYPE_CHECKING:
    from pds.replication.ledger.ledger import Ledger
    from pds.replication.replica.lease import Lease
    from pds.replication.replica.place import ReplicaPlace
    from pds.replication.supervising.parts import Parts

_LOOK_EVERY_S: Final = 0.5
_MARGIN_MS: Final = 2_000
"""How long before the last good look a sync may have ended that was noted after it."""

_log = structlog.get_logger(__name__)


class DaemonGuard:
    """Watches the lease, and the directory of a replica in one."""

    def __init__(self, place: ReplicaPlace, parts: Parts, ledger: Ledger, lease: Lease) -> None:
        self._place = place
        self._parts = parts
        self._ledger = ledger
        self._lease = lease

    async def run(self) -> None:
        """Watch until cancelled."""
        deadline = Deadline()
        try:
            await self._watch(deadline)
        finally:
            await deadline.close()

    async def _watch(self, deadline: Deadline) -> None:
        while True:
            seen_ms = self._parts.queue.now_ms
            obstacle = await self._obstacle()
            if obstacle is None:
                pids = (daemon.pid for daemon in self._parts.daemons)
                await deadline.put_off(self._lease.ends_s, filter(None, pids))
                await asyncio.sleep(_LOOK_EVERY_S)
                continue
            _log.error("litestream waits", reason=obstacle)
            await asyncio.gather(*(daemon.stop(within_s=0) for daemon in self._parts.daemons))
            self._lease.renew_soon()
            while await self._obstacle() is not None:  # noqa: ASYNC110 (nothing tells of a mount)
                await asyncio.sleep(_LOOK_EVERY_S)
            await self._go_on(seen_ms - _MARGIN_MS)

    async def _go_on(self, since_ms: int) -> None:
        """Start Litestream, which compares all with the replica, and send what went elsewhere."""
        parts = self._parts
        for daemon in parts.daemons:
            while True:
                try:
                    await daemon.start()
                    break
                except LitestreamFailed as exc:
                    _log.error("litestream does not start", daemon=daemon.name, reason=str(exc))
                    await asyncio.sleep(_LOOK_EVERY_S)
        await parts.services.register_again()
        self._lease.renew_soon()
        try:
            await parts.opened.lose_all()
            await parts.queue.flush()
            now_ms = parts.queue.now_ms
            synced = self._ledger.actors.synced_since(since_ms)
            await parts.queue.mark(dict.fromkeys(synced, now_ms))
        except DatabaseError as exc:
            parts.actors.note_error(f"the ledger fails: {exc}")
        _log.info("litestream goes on")

    async def _obstacle(self) -> str | None:
        """Return why nothing may be written now; None if it may."""
        if not self._lease.is_held:
            return "the lease of the replica is not held"
        if isinstance(self._place, FilePlace) and not await _has_required(self._place):
            return "the directory of the replica is gone: is its disk mounted?"
        return None


async def _has_required(place: FilePlace) -> bool:
    try:
        return await place.has_required()
    except ReplicaUnavailable:
        # A disk that hangs: Litestream waits for it as well.
        return True
