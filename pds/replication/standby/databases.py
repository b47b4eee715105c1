"""One database of a standby: brought further in place, or restored anew where that is impossible.

In place is possible while the replica has files that continue from the transaction that the
database is at. Where they are gone because the standby was away for long, damaged, or of another
count of transactions, all of it is written beside the old file and then takes its place.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from database.files import sync
from database.wal import files_of, wal_path
from pds.replication.errors import DamagedReplicaFile, ReplicationError
from pds.replication.ltx.applying import Applied, apply_changes
from pds.replication.ltx.names import LtxFile, list_ltx
from pds.replication.ltx.planning import Plan, plan_continuation
from pds.replication.restore.database import DatabaseRestorer
from pds.replication.restore.fetching import FileGone, LtxFetcher
from pds.replication.standby.state import Copied

if TYPE_CHECKING:
    from pds.replication.restore.patience import PatientReader
    from pds.replication.standby.state import StandbyState

_ANEW_EVERY_S: Final = 300.0
"""How long to be content with an older state before trying to restore all of it once more."""
_LISTINGS: Final = 3
"""How often files may go away between listing and reading: a live replica is compacted."""
_MAX_FAILED: Final = 10_000

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Advanced:
    """What became of one database."""

    txid: int
    """The transaction that it is at; 0 if it is not here."""
    has_changed: bool
    time_ms: int = 0
    """When its newest transaction was noticed on the primary, if it has changed."""
    problem: str = ""
    """Why it is not as new as the replica."""


@dataclass(slots=True)
class Databases:
    """Brings databases further, several at once, each by one task at a time."""

    reader: PatientReader
    executor: Executor
    """Decodes files and writes pages."""
    state: StandbyState
    read_bytes: int = 0
    """Bytes read from the replica."""
    _failed: dict[str, float] = field(default_factory=dict)
    """When databases could not be restored anew as far as the replica goes."""

    async def advance(
        self, name: str, path: Path, *, begun: int = 0, files: Sequence[LtxFile] | None = None
    ) -> Advanced:
        """Bring a database as far as the replica is. `files` are its files, if just listed.

        What is damaged in the replica is an outcome. Raises errors of the place, `DatabaseError`s
        of the state, and `OSError`.
        """
        problem = ""
        for _ in range(_LISTINGS):
            listed = await list_ltx(self.reader, name) if files is None else files
            known = self.state.find(name)
            if not listed and known is None:
                return Advanced(0, False, problem="the replica has no files of it")
            try:
                return await self._advance(name, path, begun, known, listed)
            except FileGone:
                files = None
            except _Gap as exc:
                # A listing may have missed a file that was written while it ran.
                problem, files = str(exc), None
        return await self._anew(name, path, begun, problem or "its files go away again and again")

    async def _advance(
        self, name: str, path: Path, begun: int, known: Copied | None, files: Sequence[LtxFile]
    ) -> Advanced:
        if known is None or known.begun != begun or not await asyncio.to_thread(path.exists):
            return await self._anew(name, path, begun, "", files)
        if await asyncio.to_thread(_has_wal, path):
            return await self._anew(name, path, begun, "somebody has written to it", files)
        plan = plan_continuation(files, known.txid)
        if plan is None or plan.starts_anew:
            return await self._anew(name, path, begun, "its files do not continue", files)
        changed = False
        if plan.files:
            try:
                applied = await self._apply(plan, path, known.txid)
            except DamagedReplicaFile as exc:
                return await self._anew(name, path, begun, str(exc), files)
            known, changed = Copied(applied.last, begun), True
            self.state.put(name, known)
            if plan.missing is None:
                self._failed.pop(name, None)
                return Advanced(applied.last, True, applied.timestamp_ms)
        if plan.missing is not None:
            reason = "transactions {} to {} are missing".format(*plan.missing)
            if self._may_try(name):
                raise _Gap(reason)
            return Advanced(known.txid, changed, problem=reason)
        return Advanced(known.txid, False)

    async def _apply(self, plan: Plan, path: Path, after: int) -> Applied:
        fetcher = LtxFetcher(self.reader, beside=path)
        try:
            sources = await fetcher.fetch(plan.files)
            return await asyncio.get_running_loop().run_in_executor(
                self.executor, lambda: apply_changes(sources, path, after=after)
            )
        finally:
            self.read_bytes += fetcher.read_bytes
            await fetcher.remove_parts()

    async def _anew(
        self,
        name: str,
        path: Path,
        begun: int,
        reason: str,
        files: Sequence[LtxFile] | None = None,
    ) -> Advanced:
        """Restore all of a database, and put it into the place of the old one."""
        before = self.state.find(name)
        if reason:
            if not self._may_try(name):
                return Advanced(0 if before is None else before.txid, False, problem=reason)
            _log.warning("a database is copied anew", database=name, reason=reason)
        if files is None:
            files = await list_ltx(self.reader, name)
        part = path.with_name(f".{path.name}.anew")
        await asyncio.to_thread(_remove, (part,))
        outcome = await DatabaseRestorer(self.reader, self.executor).restore(files, part)
        self.read_bytes += outcome.read_bytes
        if not outcome.is_restored:
            self._note_failure(name)
            return Advanced(0 if before is None else before.txid, False, problem=outcome.reason)
        if outcome.has_lost:
            self._note_failure(name)
            if before is not None and before.begun == begun and before.txid >= outcome.last:
                await asyncio.to_thread(_remove, (part,))
                return Advanced(before.txid, False, problem=outcome.reason)
        await asyncio.to_thread(_replace, part, path)
        self.state.put(name, Copied(outcome.last, begun))
        if not outcome.has_lost:
            self._failed.pop(name, None)
        problem = outcome.reason if outcome.has_lost else ""
        return Advanced(outcome.last, True, outcome.newest_ms, problem)

    def _may_try(self, name: str) -> bool:
        failed_s = self._failed.get(name)
        return failed_s is None or time.monotonic() - failed_s > _ANEW_EVERY_S

    def _note_failure(self, name: str) -> None:
        if len(self._failed) >= _MAX_FAILED:
            self._failed.clear()
        self._failed[name] = time.monotonic()


class _Gap(ReplicationError):
    """The files that are listed lead less far than the newest of them."""


def remove_database(path: Path) -> None:
    """Delete a database and what SQLite or a killed standby left beside it."""
    _remove(files_of(path))
    _remove((path.with_name(f".{path.name}.anew"),))


def _has_wal(path: Path) -> bool:
    try:
        return wal_path(path).stat().st_size > 0
    except FileNotFoundError:
        return False


def _remove(paths: Collection[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _replace(part: Path, path: Path) -> None:
    """Put a new file durably into the place of an old one."""
    sync(part)
    # A WAL of the old file, if somebody has written to it, would be taken for one of the new.
    _remove(files_of(path)[1:])
    part.replace(path)
    sync(path.parent)
