"""The lease of a replica: at most one supervisor writes to it.

Its holder counts up `lease.json` every few seconds. Others watch whether the count moves, by their
own clocks, so that clocks that differ or jump do not matter. A holder that could not renew it for
a while stops counting on it (`is_held`) well before others take it over.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import structlog

from pds.replication.errors import (
    DamagedReplicaFile,
    LeaseHeld,
    ReplicaFileMissing,
    ReplicaInUse,
    ReplicationError,
    ReplicaUnavailable,
)
from pds.replication.replica.lease_file import LeaseFile
from pds.replication.replica.machine import has_ended, pid_space
from pds.replication.replica.names import LEASE, MANIFEST
from pds.replication.replica.place import ReplicaPlace

_MAX_BYTES: Final = 4096
_MAX_MANIFEST_BYTES: Final = 64 * 1024
_LOOK_EVERY_S: Final = 1.0
"""How soon a machine that has slept, or a process that was stopped, renews its lease."""

logger = structlog.get_logger(__name__)


@dataclass(slots=True, frozen=True)
class LeaseTimes:
    """How often and how long, in seconds."""

    renew_s: float = 20.0
    retry_s: float = 2.0
    """After a renewal that failed."""
    held_s: float = 45.0
    """For how long after a renewal the holder counts on the lease."""
    ends_s: float = 48.0
    """When after a renewal Litestream is killed, in case the holder itself stands still."""
    stale_s: float = 60.0
    """For how long others watch a lease that does not move before they take it over."""
    watch_every_s: float = 2.0
    settle_s: float = 2.0
    """How long after taking it a supervisor looks whether another took it in the same moment."""
    call_s: float = 15.0
    """How long a renewal may take."""
    release_s: float = 10.0
    """How long a stop tries to free the lease."""


def _now_s() -> float:
    """Seconds that also pass while the machine sleeps, and never jump."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Lease:
    """The lease of one run of a supervisor."""

    def __init__(
        self,
        place: ReplicaPlace,
        *,
        server_id: str,
        times: LeaseTimes | None = None,
        now_s: Callable[[], float] = _now_s,
    ) -> None:
        """Nothing is sent yet. `server_id` is that of the data directory."""
        self._place = place
        self._times = times or LeaseTimes()
        self._now_s = now_s
        self._mine = LeaseFile(
            server_id=server_id,
            run_id=secrets.token_hex(8),
            host=socket.gethostname(),
            pid=os.getpid(),
            pid_space=pid_space(),
            counter=0,
        )
        self._stored: bytes | None = None
        """What the place holds, as far as is known."""
        self._renewed_s: float | None = None
        self._soon = asyncio.Event()
        self.last_error: str | None = None
        """Why the lease could not be renewed; None after it was."""

    @property
    def is_held(self) -> bool:
        """Whether nobody else can have taken the lease: only then the replica is written to."""
        renewed_s = self._renewed_s
        return renewed_s is not None and self._now_s() - renewed_s < self._times.held_s

    @property
    def ends_s(self) -> float:
        """When Litestream has to have ended unless the lease is renewed, by CLOCK_BOOTTIME."""
        return (self._renewed_s or 0.0) + self._times.ends_s

    def renew_soon(self) -> None:
        """Let `keep` renew it now: something fails, and `last_error` may tell why."""
        self._soon.set()

    async def acquire(self, *, by_force: bool = False) -> None:
        """Take the lease, or raise `ReplicaInUse` once it is seen that another renews it.

        Takes at once what is free, or was this data directory's; else watches it for `stale_s`.
        It is free, too, if its holder was a process of this machine that has ended.
        `by_force` takes it at once in any case: its holder stops when it next renews it.
        Raises `DamagedReplicaFile` for a file that is no lease, and what `ReplicaPlace` raises.
        """
        found = await self._read()
        ours = found is not None and found[0].server_id == self._mine.server_id
        if found is not None and not ours and not self._is_free(found[0]) and not by_force:
            found = await self._watch(*found)
        counter = 0 if found is None else found[0].counter
        await self._take(counter, before=None if found is None else found[1])
        if not ours:
            await self._settle()

    async def keep(self) -> None:
        """Renew the lease until cancelled; raise `ReplicaInUse` when another has taken it.

        While the place fails, keeps trying; see `LeasedPlace` for what is written meanwhile.
        """
        while True:
            await self._until_due()
            try:
                async with asyncio.timeout(self._times.call_s):
                    await self._renew()
            except (ReplicaInUse, DamagedReplicaFile):
                self._renewed_s = None
                raise
            except (ReplicationError, TimeoutError) as exc:
                error = str(exc) or "the place does not answer in time"
                if self.last_error is None:
                    logger.warning("replication_lease_not_renewed", error=error)
                self.last_error = error

    async def release(self) -> None:
        """Free the lease at a clean stop, if it is still held. Never raises for a failing place."""
        if self._stored is None:
            return
        self._renewed_s = None
        free = self._mine.counted(is_released=True)
        try:
            async with asyncio.timeout(self._times.release_s):
                await self._place.write_if_same(LEASE, free.encode(), before=self._stored)
        except (ReplicationError, TimeoutError) as exc:
            logger.warning("replication_lease_not_released", error=str(exc))
        self._stored = None

    async def _until_due(self) -> None:
        """Wait until the lease is to be renewed, which may be much sooner than timers tell."""
        times = self._times
        left_s = times.renew_s if self.last_error is None else times.retry_s
        due_s = self._now_s() + left_s
        while left_s > 0 and self._now_s() < due_s and not self._soon.is_set():
            pause_s = min(left_s, _LOOK_EVERY_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._soon.wait()
            left_s -= pause_s
        self._soon.clear()

    async def _watch(self, seen: LeaseFile, data: bytes) -> tuple[LeaseFile, bytes] | None:
        """Return a lease that has not moved for long, or is free; else raise `ReplicaInUse`."""
        watched_since_s = self._now_s()
        while self._now_s() - watched_since_s < self._times.stale_s:
            await asyncio.sleep(self._times.watch_every_s)
            found = await self._read()
            if found is None or self._is_free(found[0]):
                return found
            if found[1] != data:
                raise _in_use(found[0])
        logger.warning("replication_lease_taken_over", host=seen.host, pid=seen.pid)
        return seen, data

    def _is_free(self, lease: LeaseFile) -> bool:
        """Whether its holder surely writes no more. Its daemons end with it."""
        mine = self._mine
        is_near = mine.pid_space and (lease.host, lease.pid_space) == (mine.host, mine.pid_space)
        return lease.is_released or bool(is_near and has_ended(lease.pid))

    async def _take(self, counter: int, *, before: bytes | None) -> None:
        self._mine = self._mine.counted(above=counter)
        data, begun_s = self._mine.encode(), self._now_s()
        if not await self._place.write_if_same(LEASE, data, before=before):
            found = await self._read()
            raise _in_use(None if found is None else found[0])
        self._note(data, begun_s)

    async def _settle(self) -> None:
        """Look whether another supervisor has overwritten the lease in the same moment."""
        await asyncio.sleep(self._times.settle_s)
        found = await self._read()
        if found is None or found[1] != self._stored:
            self._stored = self._renewed_s = None
            raise _in_use(None if found is None else found[0])

    async def _renew(self) -> None:
        mine, begun_s = self._mine.counted(), self._now_s()
        if not await self._place.write_if_same(LEASE, mine.encode(), before=self._stored):
            found = await self._read()
            if found is None:
                await self._require_replica()
                # A disk that has been mounted since then has the lease as well.
                found = await self._read()
            if found is not None:
                if found[0].run_id != mine.run_id:
                    raise _in_use(found[0])
                # An earlier renewal, whose answer was lost.
                mine = mine.counted(above=found[0].counter)
            await self._take(mine.counter, before=None if found is None else found[1])
            return
        self._mine = mine
        self._note(mine.encode(), begun_s)

    async def _require_replica(self) -> None:
        """Raise `ReplicaUnavailable` if more than the lease is gone, as with an unmounted disk."""
        try:
            await self._place.read(MANIFEST, max_bytes=_MAX_MANIFEST_BYTES)
        except ReplicaFileMissing as exc:
            raise ReplicaUnavailable(
                f"the replica has no {MANIFEST} any more: see that its disk is mounted, and what "
                "deletes files there; an emptied replica is filled anew after a restart of "
                "replication"
            ) from exc

    async def _read(self) -> tuple[LeaseFile, bytes] | None:
        try:
            data = await self._place.read(LEASE, max_bytes=_MAX_BYTES)
        except ReplicaFileMissing:
            return None
        return LeaseFile.decode(data), data

    def _note(self, data: bytes, begun_s: float) -> None:
        self._stored, self._renewed_s = data, begun_s
        if self.last_error is not None:
            logger.info("replication_lease_renewed")
        self.last_error = None


def _in_use(holder: LeaseFile | None) -> LeaseHeld:
    who = "another supervisor"
    if holder is not None:
        who += f" (host {holder.host}, process {holder.pid})"
    return LeaseHeld(who)
