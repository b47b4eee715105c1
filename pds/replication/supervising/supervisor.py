"""`pds replicate`: replicates a data directory until it is told to stop.

It starts once it has the data directory (a lock), the program Litestream, and the replica (its
manifest and lease). Whatever fails after that is tried again, and shows in the status file; only a
lease that another supervisor has taken ends it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import structlog

from database.errors import DatabaseError
from pds.replication.copies.sealing import KeySecret
from pds.replication.errors import ReplicationError, ReplicaUnavailable
from pds.replication.ledger.ledger import Ledger
from pds.replication.litestream.program import find_program
from pds.replication.replica.file_place import FilePlace
from pds.replication.replica.lease import Lease
from pds.replication.replica.leased_place import LeasedPlace
from pds.replication.replica.manifest import check_replica, join_replica
from pds.replication.replica.names import MANIFEST
from pds.replication.replica.opening import open_place, way_for_litestream
from pds.replication.status import write_status
from pds.replication.supervising.daemon_guard import DaemonGuard
from pds.replication.supervising.parts import make_parts
from pds.replication.supervising.status_collector import StatusCollector
from pds.replication.supervising.supervisor_lock import locked

if TYPE_CHECKING:
    from pds.replication.litestream.program import Program
    from pds.replication.options import ReplicationOptions
    from pds.replication.replica.manifest import Manifest
    from pds.replication.replica.place import ReplicaPlace
    from pds.replication.replica.url import ReplicaUrl
    from pds.replication.supervising.parts import Parts

_FIRST_RETRY_S: Final = 1.0
_DELETIONS_EVERY_S: Final = 600.0
_STOP_IN_OUTAGE_S: Final = 2.0

_log = structlog.get_logger(__name__)


async def run_supervisor(options: ReplicationOptions, stop: asyncio.Event) -> None:
    """Replicate until `stop` is set, and then send what is left, for a bounded time.

    While the replica cannot be reached, this goes on trying. Raises `ReplicationError`s that need
    an operator: `LitestreamMissing`, `WrongKeySecret`, `ReplicaInUse`, `ForeignReplica`,
    `ReplicaRefused`, …; and `DatabaseError`s if the ledger cannot be opened.
    """
    most = options.replica.most_databases
    if most is not None:
        options = replace(options, hot_set=min(options.hot_set, most))
    with locked(options.lock_file):
        program = await asyncio.to_thread(find_program)
        secret = KeySecret(
            passphrase=options.sealing.passphrase,
            recipient=options.sealing.recipient,
            in_clear=options.sealing.in_clear,
        )
        secret.check()
        place = open_place(options.replica)
        try:
            ledger = Ledger.open(options.ledger_db)
            try:
                await _Supervisor(options, program, place, ledger, secret).run(stop)
            finally:
                ledger.close()
        finally:
            await place.close()


class _Supervisor:
    """One run."""

    def __init__(
        self,
        options: ReplicationOptions,
        program: Program,
        place: ReplicaPlace,
        ledger: Ledger,
        secret: KeySecret,
    ) -> None:
        self._options = options
        self._program = program
        self._place = place
        self._ledger = ledger
        self._secret = secret
        self._lease = Lease(place, server_id=ledger.server_id, times=options.lease)
        self._status = StatusCollector(options, ledger, self._lease)

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set, or fail for good."""
        self._write_status()
        writing = asyncio.create_task(self._keep_writing_status())
        try:
            manifest = await self._join(stop)
            if manifest is not None:
                await self._replicate(manifest, stop)
        except BaseException as exc:
            self._status.state = "failed"
            self._status.error = str(exc) or type(exc).__name__
            raise
        else:
            self._status.state = "stopped"
        finally:
            await _cancel(writing)
            self._write_status()

    async def _join(self, stop: asyncio.Event) -> Manifest | None:
        """Take the replica; None if told to stop before it could be reached."""
        joining = asyncio.create_task(self._join_insistently())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait((joining, stopping), return_when=asyncio.FIRST_COMPLETED)
            return joining.result() if joining.done() else None
        finally:
            await _cancel(stopping, joining)

    async def _join_insistently(self) -> Manifest:
        pause_s = _FIRST_RETRY_S
        while True:
            try:
                manifest = await self._try_to_join()
            except ReplicaUnavailable as exc:
                if self._status.state != "unreachable":
                    _log.error("the replica cannot be reached", reason=str(exc))
                self._status.state, self._status.error = "unreachable", str(exc)
            else:
                self._status.state, self._status.error = "starting", None
                return manifest
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, self._options.longest_pause_s)

    async def _try_to_join(self) -> Manifest:
        options = self._options
        found = await check_replica(
            self._place, service_did=options.service_did, server_id=self._ledger.server_id
        )
        await self._lease.acquire()
        try:
            manifest = await join_replica(
                self._place,
                service_did=options.service_did,
                server_id=self._ledger.server_id,
                seal=self._secret.seal,
            )
            if isinstance(self._place, FilePlace):
                self._place.require(MANIFEST)
            await self._ledger.join_replica(
                str(options.replica), is_new=found is None, now_ms=int(time.time() * 1000)
            )
        except BaseException:
            await self._lease.release()
            raise
        return manifest

    async def _replicate(self, manifest: Manifest, stop: asyncio.Event) -> None:
        async with way_for_litestream(self._options.replica) as way:
            await self._replicate_by(way, manifest, stop)

    async def _replicate_by(self, way: ReplicaUrl, manifest: Manifest, stop: asyncio.Event) -> None:
        parts = make_parts(
            self._options,
            program=self._program,
            place=LeasedPlace(self._place, self._lease),
            ledger=self._ledger,
            lease=self._lease,
            manifest=manifest,
            url_of=way.for_litestream,
        )
        self._status.parts = parts
        keeping = asyncio.create_task(self._lease.keep())
        try:
            async with self._daemons(parts, keeping):
                parts.services.start()
                self._status.state = "running"
                _log.info("replicating", replica=str(self._options.replica))
                await self._until_stopped(parts, keeping, stop)
        finally:
            await _cancel(keeping)
            await self._lease.release()

    @asynccontextmanager
    async def _daemons(self, parts: Parts, keeping: asyncio.Task[None]) -> AsyncIterator[None]:
        """Run the two daemons within a block; at once killed if the lease is lost."""
        try:
            await asyncio.gather(*(daemon.start() for daemon in parts.daemons))
            yield
        finally:
            await parts.services.stop()
            within_s = (
                self._options.daemons_stop_s if parts.actors.is_reachable() else _STOP_IN_OUTAGE_S
            )
            # One that ends by itself syncs what it has open, to a replica that is another's now.
            if keeping.done():
                within_s = 0.0
            await asyncio.gather(*(daemon.stop(within_s=within_s) for daemon in parts.daemons))

    async def _until_stopped(
        self, parts: Parts, keeping: asyncio.Task[None], stop: asyncio.Event
    ) -> None:
        following = asyncio.create_task(parts.watcher.follow())
        syncing = asyncio.create_task(parts.actors.run())
        others = [asyncio.create_task(run) for run in self._others(parts)]
        stopping = asyncio.create_task(stop.wait())
        running = (keeping, following, syncing, *others)
        try:
            await asyncio.wait((*running, stopping), return_when=asyncio.FIRST_COMPLETED)
            await _cancel(stopping, following, *others)
            _raise_failure(running)
            self._status.state = "stopping"
            await self._drain(parts, keeping)
        finally:
            await _cancel(stopping, following, syncing, *others)
        _raise_failure((keeping,))
        await parts.services.stop()
        timeout_s = self._options.final_sync_s if parts.actors.is_reachable() else _STOP_IN_OUTAGE_S
        left = await parts.services.final_sync(timeout_s=timeout_s)
        for status in left:
            if status.error is not None:
                _log.error(
                    "not all has reached the replica", database=status.name, reason=status.error
                )

    def _others(self, parts: Parts) -> Iterator[Coroutine[Any, Any, None]]:
        """What runs beside the syncs of actors."""
        yield parts.watcher.sweep()
        yield DaemonGuard(self._place, parts, self._ledger, self._lease).run()
        yield parts.keys.run()
        if parts.blobs is not None:
            yield parts.blobs.run()
        yield parts.compactions.run()
        yield self._keep_deleting(parts)

    async def _drain(self, parts: Parts, keeping: asyncio.Task[None]) -> None:
        """Send the changes so far, for a bounded time, and no longer than the lease is ours."""
        draining = asyncio.create_task(self._look_and_drain(parts))
        await asyncio.wait(
            (draining, keeping),
            timeout=self._options.stop_s,
            return_when=asyncio.FIRST_COMPLETED,
        )
        await _cancel(draining)
        left = self._ledger.actors.counts()
        if left.dirty:
            _log.warning("actors are left to be synced at the next start", actors=left.dirty)

    async def _look_and_drain(self, parts: Parts) -> None:
        try:
            while await parts.watcher.look_at_log():
                pass
            await parts.actors.drain()
            if not parts.actors.is_reachable():
                return
            # What has changed without an event since the last sweep, such as preferences.
            await parts.watcher.sweep_once(within_s=0.0)
            await parts.actors.drain()
            if parts.blobs is not None and parts.actors.is_reachable():
                await parts.blobs.finish()
        except DatabaseError as exc:
            parts.actors.note_error(f"the ledger fails: {exc}")
        except (ReplicationError, OSError) as exc:
            parts.actors.note_error(f"something is left to be sent at the next start: {exc}")

    async def _keep_deleting(self, parts: Parts) -> None:
        while True:
            try:
                await parts.deletions.remove_expired()
            except (ReplicationError, DatabaseError, OSError) as exc:
                parts.actors.note_error(f"deleted accounts cannot leave the replica: {exc}")
            await asyncio.sleep(_DELETIONS_EVERY_S)

    async def _keep_writing_status(self) -> None:
        while True:
            await asyncio.sleep(self._options.status_every_s)
            self._write_status()

    def _write_status(self) -> None:
        try:
            status = self._status.collect()
        except DatabaseError as exc:
            _log.warning("the ledger cannot be read", reason=str(exc))
            return
        write_status(self._options.status_file, status)


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    """Cancel tasks, and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _raise_failure(tasks: tuple[asyncio.Task[None], ...]) -> None:
    """Raise what has ended one of some tasks that should not end by themselves."""
    for task in tasks:
        if task.done() and not task.cancelled() and (exc := task.exception()) is not None:
            raise exc
