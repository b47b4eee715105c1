"""A standby that follows its replica: rounds of looking and applying, until told to stop.

Each round looks at the ledger. If that has changed, or something is left from before, it brings the
databases of the server further, then keys, then accounts; blobs follow on their own. The order is
that of a restore: stores may be newer than the event log, which recovery mends, and never the other
way round by much.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import islice
from typing import TYPE_CHECKING, Final

import structlog

from actor_store.layout import ActorLayout
from database.errors import DatabaseError
from pds.replication.copies.key_files import KeyFiles
from pds.replication.errors import ReplicationError, WrongKeySecret
from pds.replication.replica.manifest import read_manifest
from pds.replication.restore.blobs import Blobs as RestoredBlobs
from pds.replication.restore.options import RestoreOptions
from pds.replication.restore.patience import PatientReader
from pds.replication.restore.report import RestoreReport
from pds.replication.restore.secret_files import SecretFiles
from pds.replication.restore.target import LEDGER
from pds.replication.standby.actors import Actors
from pds.replication.standby.blobs import Blobs
from pds.replication.standby.databases import Databases
from pds.replication.standby.directory import STATUS_FILE, STOP_FILE, service_of, source_of
from pds.replication.standby.ledger_copy import LedgerCopy
from pds.replication.standby.secrets import Secrets
from pds.replication.standby.services import Services
from pds.replication.standby.status import StandbyStatus, State, write_status
from pds.reporting import no_progress

if TYPE_CHECKING:
    from pathlib import Path

    from pds.replication.replica.place import ReplicaPlace
    from pds.replication.restore.secret_files import Opener
    from pds.replication.restore.target import RestoreTarget
    from pds.replication.standby.state import StandbyState

POLL_S: Final = 1.5
"""Between two looks at the replica."""
_LONGEST_PAUSE_S: Final = 30.0
_MANIFEST_EVERY_S: Final = 60.0
_STATUS_EVERY_S: Final = 1.0
_PARALLELISM: Final = 8
_SHOWN: Final = 20
_RECENT_MS: Final = 120_000
"""For how long a blob may have been on its way when the primary ended."""
_KEYS_LEAVE_MS: Final = 3_600_000
"""The keys of deleted accounts leave the ledger within this time."""
_MOST_RECENT: Final = 500
_LOOKED_FOR: Final = 100
_LEDGER_ID: Final = "ledger"
_REPLICA_ID: Final = "replicaId"

_log = structlog.get_logger(__name__)


class Standby:
    """One run of a standby, whose directory is locked and whose state is open."""

    def __init__(
        self,
        place: ReplicaPlace,
        target: RestoreTarget,
        state: StandbyState,
        *,
        opener: Opener | None,
        poll_s: float = POLL_S,
    ) -> None:
        """`opener` opens keys; None if they are in the clear."""
        self._place = place
        self._target = target
        self._state = state
        self._poll_s = poll_s
        # The place itself tries again within seconds, and the next round after that.
        reader = PatientReader(place, delays_s=())
        self._executor = ThreadPoolExecutor(
            max(2, len(os.sched_getaffinity(0))), thread_name_prefix="standby"
        )
        self.databases = Databases(reader, self._executor, state)
        self.ledger = LedgerCopy(reader, self.databases, state, target.services[LEDGER])
        self.services = Services(self.databases, state, target)
        layout = ActorLayout(target.actors)
        self.secrets = Secrets(
            KeyFiles(layout, target.directory),
            SecretFiles(reader, opener),
            self.ledger,
            _PARALLELISM,
        )
        self.actors = Actors(
            self.databases, state, self.ledger, reader, target, parallelism=_PARALLELISM
        )
        self.blobs = None if target.blobs is None else Blobs(reader, self.ledger, target.blobs)
        self.reader = reader
        self.status_state: State = "starting"
        self._started_s = time.time()
        self._caught_up_s: float | None = None
        self._last_error: str | None = None
        self._last_error_s: float | None = None
        self._unsent = 0
        self._is_complete = False
        """Whether nothing is known to be left from an earlier round."""
        self._manifest_s: float | None = None

    async def follow(self, stop: asyncio.Event) -> None:
        """Follow the replica until `stop` is set or a promotion asks for the directory.

        Raises `WrongKeySecret`; everything else is tried again.
        """
        with self.writing_status():
            copying = None if self.blobs is None else asyncio.create_task(self.blobs.run())
            try:
                await self._follow(stop)
            finally:
                if copying is not None:
                    copying.cancel()
                    await asyncio.gather(copying, return_exceptions=True)

    async def finish(self) -> None:
        """Bring everything as far as the replica is, which may be further than its ledger.

        Takes a listing of all accounts. Raises what `round` raises.
        """
        # For a copy that began just before the primary's end, its ledger does not have the blobs.
        advanced: set[str] = set()
        await self.round(anyway=True)
        await self.actors.advance_all(on_advanced=advanced.add)
        await self.actors.remove_keys_of_deleted(self.ledger.time_ms - _KEYS_LEAVE_MS)
        if self.blobs is not None:
            await self.blobs.advance()
            async with self.ledger.rows() as rows:
                since_ms = self.ledger.time_ms - _RECENT_MS
                advanced.update(rows.synced_since(since_ms, limit=_MOST_RECENT))
            await self._find_blobs(advanced, self.blobs.blobs)

    async def round(self, *, anyway: bool = False) -> None:
        """Bring everything but blobs as far as the replica's ledger is.

        `anyway`: also what need not have changed. Raises errors of the place, `DatabaseError`s
        and `OSError`.
        """
        looked_s = time.time()
        await self._check_replica()
        has_changed = await self.ledger.advance(anyway=anyway)
        if not self.ledger.exists:
            raise ReplicationError("the replica has no ledger yet: its first copy has not begun")
        anyway = anyway or not self._is_complete
        if has_changed or anyway:
            self._is_complete = False
            await self._settle_ledger()
        async with self.ledger.rows() as rows:
            newest = rows.services()
            self._unsent = rows.dirty
        await self.services.advance(newest, anyway=anyway)
        is_first = self.actors.seen == 0
        await self.secrets.advance()
        await self.actors.advance()
        if is_first:
            await self.actors.remove_unknown()
        if self.blobs is not None and (has_changed or anyway):
            self.blobs.wake()
        self._is_complete = True
        self._caught_up_s = looked_s

    def status(self) -> StandbyStatus:
        """Return how far this standby is."""
        blobs = self.blobs
        newest_ms = max(self.ledger.time_ms, self.services.time_ms, self.actors.time_ms)
        return StandbyStatus(
            pid=os.getpid(),
            state=self.status_state,
            started_s=self._started_s,
            written_s=time.time(),
            source=source_of(self._state),
            service_did=service_of(self._state),
            caught_up_s=self._caught_up_s,
            newest_s=newest_ms / 1000 if newest_ms else None,
            databases=self._state.count(),
            behind=self.actors.behind + len(self.actors.problems),
            unsent=self._unsent,
            blobs_behind=blobs is not None and blobs.is_behind,
            applied=self.actors.applied,
            deleted=self.actors.deleted,
            keys_copied=self.secrets.copied,
            blobs_copied=0 if blobs is None else blobs.copied,
            read_bytes=self.databases.read_bytes,
            problems=tuple(islice(self._problems(), _SHOWN)),
            last_error=self._last_error,
            last_error_s=self._last_error_s,
        )

    @contextmanager
    def writing_status(self) -> Iterator[None]:
        """Write the status each second within a block, and once more at its end."""
        self.write_status()
        writing = asyncio.create_task(self._keep_writing_status())
        try:
            yield
        except BaseException as exc:
            self.status_state = "failed" if isinstance(exc, Exception) else "stopped"
            raise
        else:
            self.status_state = "stopped"
        finally:
            writing.cancel()
            self.write_status()

    def close(self) -> None:
        """End the threads."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    async def _find_blobs(self, dids: set[str], directory: Path) -> None:
        """Look in the replica itself for blobs of some accounts."""
        report = RestoreReport(source_of(self._state), str(self._target.directory))
        ordered = sorted(dids)
        for start in range(0, len(ordered), _LOOKED_FOR):
            chunk = ordered[start : start + _LOOKED_FOR]
            options = RestoreOptions(dids=frozenset(chunk), services=False)
            finding = RestoredBlobs(
                self.reader, self._target, directory, options, report, no_progress, chunk
            )
            await finding.restore(set())
        for damaged in report.findings:
            _log.warning("a blob cannot be copied", did=damaged.subject, reason=damaged.detail)

    async def _follow(self, stop: asyncio.Event) -> None:
        pause_s = self._poll_s
        while not stop.is_set():
            if self.status_state == "starting":
                self.status_state = "copying"
            try:
                await self._round_until(stop)
            except WrongKeySecret:
                raise
            except (ReplicationError, DatabaseError, OSError) as exc:
                self._fail(exc)
                pause_s = min(2 * pause_s, max(_LONGEST_PAUSE_S, self._poll_s))
            else:
                self._succeed()
                pause_s = self._poll_s
            await self._pause(stop, pause_s)

    async def _round_until(self, stop: asyncio.Event) -> None:
        """Do a round, which may take hours at first, unless told to stop."""
        working = asyncio.create_task(self.round())
        stopping = asyncio.create_task(self._wait_for_stop(stop))
        try:
            await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
        finally:
            for task in (working, stopping):
                task.cancel()
            await asyncio.gather(working, stopping, return_exceptions=True)

    async def _wait_for_stop(self, stop: asyncio.Event) -> None:
        while not stop.is_set():
            if (self._target.directory / STOP_FILE).exists():
                _log.info("a promotion asks for the directory")
                stop.set()
                return
            with suppress(TimeoutError):
                async with asyncio.timeout(0.5):
                    await stop.wait()

    async def _pause(self, stop: asyncio.Event, pause_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                await self._wait_for_stop(stop)

    async def _check_replica(self) -> None:
        """Notice that the place was emptied: then transactions are counted from 1 once more."""
        now_s = time.monotonic()
        if self._manifest_s is not None and now_s - self._manifest_s < _MANIFEST_EVERY_S:
            return
        manifest = await read_manifest(self._place)
        if manifest is None:
            raise ReplicationError(
                "the replica has lost its manifest: does `pds replicate` still use that place?"
            )
        if manifest.service_did != service_of(self._state):
            raise ReplicationError(f"the place now holds the replica of {manifest.service_did}")
        replica_id = manifest.replica_id or ""
        known = self._state.get(_REPLICA_ID)
        if known != replica_id:
            if known is not None:
                _log.warning("the replica was begun anew, so all databases are copied anew")
                self._state.begin_anew()
                self._start_over()
            self._state.set(_REPLICA_ID, replica_id)
        self._manifest_s = now_s

    async def _settle_ledger(self) -> None:
        """Compare everything once if this is another ledger than before, whose numbers differ."""
        async with self.ledger.rows() as rows:
            server_id, count = rows.server_id, rows.change_count
        if self._state.get(_LEDGER_ID) != server_id:
            self._state.set(_LEDGER_ID, server_id)
            self._start_over()
        elif count < max(self.actors.seen, self.secrets.seen):
            self._start_over()

    def _start_over(self) -> None:
        self._is_complete = False
        self.actors.seen = self.secrets.seen = 0
        if self.blobs is not None:
            self.blobs.seen = 0

    def _fail(self, exc: Exception) -> None:
        text = str(exc) or type(exc).__name__
        if self._last_error != text or self.status_state != "unreachable":
            _log.warning("the replica cannot be followed for now", reason=text)
        self.status_state = "unreachable"
        self._last_error, self._last_error_s = text, time.time()

    def _succeed(self) -> None:
        if self.status_state != "following":
            _log.info("following", source=source_of(self._state), databases=self._state.count())
        self.status_state = "following"

    def _problems(self) -> Iterator[tuple[str, str]]:
        if self.ledger.problem:
            yield LEDGER, self.ledger.problem
        yield from self.services.problems.items()
        yield from ((did, problem.text) for did, problem in self.actors.problems.items())
        yield from ((name, problem.text) for (_, name), problem in self.secrets.problems.items())
        if self.blobs is not None:
            yield from (("blob", text) for text in self.blobs.problems.first(_SHOWN))
            if self.blobs.error is not None:
                yield "blobs", self.blobs.error

    async def _keep_writing_status(self) -> None:
        while True:
            await asyncio.sleep(_STATUS_EVERY_S)
            self.write_status()

    def write_status(self) -> None:
        """Write the status file now."""
        with suppress(DatabaseError):
            write_status(self._target.directory / STATUS_FILE, self.status())
