"""One database: chosen files, an older state where some are damaged, and one rename at the end."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pds.replication.errors import DamagedReplicaFile, ReplicaFileMissing
from pds.replication.ltx.applying import Applied, restore_database
from pds.replication.ltx.errors import DamagedLtx
from pds.replication.ltx.header import HEADER_BYTES, decode_header
from pds.replication.ltx.names import LtxFile, list_ltx
from pds.replication.ltx.planning import Plan, plan_restore, unclear_times
from pds.replication.ltx.reading import LtxSource, is_complete
from pds.replication.restore.fetching import FileGone, LtxFetcher, reason_of
from pds.replication.restore.options import time_text
from pds.replication.restore.patience import PatientReader

_RELISTINGS: Final = 3
"""How often files may go away while they are read: a live replica is compacted."""
_LOOKED_AT: Final = 50
"""How many files after a gap are searched for one that has the whole database."""
_EXAMPLES: Final = 3


@dataclass(slots=True, frozen=True)
class Outcome:
    """What became of one database."""

    is_restored: bool
    reason: str = ""
    """Why it is not restored, or which files are damaged and what is lost for it."""
    has_lost: bool = False
    """Whether the replica knows of later changes, which are lost."""
    last: int = 0
    """The transaction that it is at."""
    is_later: bool = False
    """Whether it did not exist yet at the time that was asked for."""
    newest_ms: int = 0
    """When its last change was noticed, in Unix milliseconds."""
    off_ms: int = 0
    """How long before the time that was asked for it may begin to lack changes; 0: it has all."""
    read_bytes: int = 0
    pending_since_ms: int = 0
    """Since when it had changes that never reached the replica, as far as that knows; 0: none."""


class DatabaseRestorer:
    """Restores databases, several at once; a place that is away raises `ReplicaUnavailable`."""

    def __init__(
        self, reader: PatientReader, executor: Executor, *, as_of_ms: int | None = None
    ) -> None:
        """`executor` decodes files. `as_of_ms` is the time of the state to restore."""
        self._reader = reader
        self._executor = executor
        self._as_of_ms = as_of_ms

    async def restore(self, files: Sequence[LtxFile], path: Path) -> Outcome:
        """Write the database that has these files to `path`, which must not exist.

        Damage of the replica is an outcome. Raises errors of the place, and `OSError`.
        """
        return await _Attempt(self._reader, self._executor, self._as_of_ms, list(files), path).run()


class _Attempt:
    """The restore of one database."""

    def __init__(
        self,
        reader: PatientReader,
        executor: Executor,
        as_of_ms: int | None,
        files: list[LtxFile],
        path: Path,
    ) -> None:
        self._reader = reader
        self._executor = executor
        self._as_of_ms = as_of_ms
        self._files = files
        self._path = path
        self._fetch = LtxFetcher(reader, beside=path)
        self._damaged: dict[str, str] = {}
        self._complete: set[str] = set()
        self._relistings = 0
        self._headers_bytes = 0

    async def run(self) -> Outcome:
        if not self._files:
            return Outcome(False, "the replica has no files of it")
        try:
            return await self._run()
        finally:
            await self._fetch.remove_parts()

    async def _run(self) -> Outcome:
        if self._as_of_ms is not None:
            await self._find_times()
        while True:
            plan = self._plan()
            if plan is not None and plan.missing and await self._find_complete(plan):
                continue
            if plan is None:
                return self._nothing()
            try:
                sources = await self._fetch.fetch(plan.files)
                applied = await self._apply(sources)
            except DamagedLtx as exc:
                self._damaged[exc.path] = exc.reason
            except FileGone:
                await self._list_again()
            else:
                return self._outcome(plan, applied)

    def _plan(self) -> Plan | None:
        return plan_restore(
            self._files,
            before_ms=self._as_of_ms,
            damaged=self._damaged.keys(),
            complete=self._complete,
        )

    async def _find_times(self) -> None:
        """Read the headers that decide whether files belong to the state."""
        assert self._as_of_ms is not None  # noqa: S101 (for mypy: checked by the caller)
        times: dict[str, int] = {}
        for file in unclear_times(self._files, self._as_of_ms):
            try:
                data = await self._reader.read_start(file.path, HEADER_BYTES)
                times[file.path] = decode_header(data, file.path).timestamp_ms
                self._headers_bytes += len(data)
            except ReplicaFileMissing:
                continue
            except DamagedReplicaFile as exc:
                self._damaged[file.path] = reason_of(exc)
        self._files = [
            replace(file, timestamp_ms=times.get(file.path, file.timestamp_ms))
            for file in self._files
        ]

    async def _find_complete(self, plan: Plan) -> bool:
        """Search beyond a gap for files that have the whole database; return whether one is new."""
        assert plan.missing is not None  # noqa: S101 (for mypy: checked by the caller)
        beyond = [
            file
            for file in self._files
            if file.name.first > plan.missing[0]
            and file.path not in self._damaged
            and file.path not in self._complete
            and (self._as_of_ms is None or file.time_ms < self._as_of_ms)
        ]
        beyond.sort(key=lambda file: file.name.last, reverse=True)
        for file in beyond[:_LOOKED_AT]:
            try:
                [source] = await self._fetch.fetch([file])
                loop = asyncio.get_running_loop()
                if await loop.run_in_executor(self._executor, is_complete, source):
                    self._complete.add(file.path)
                    return True
            except DamagedLtx as exc:
                self._damaged[exc.path] = exc.reason
            except FileGone:
                continue
        return False

    @property
    def _read_bytes(self) -> int:
        return self._headers_bytes + self._fetch.read_bytes

    async def _apply(self, sources: Sequence[LtxSource]) -> Applied:
        def apply() -> Applied:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            return restore_database(sources, self._path, mode=0o600, durable=False)

        return await asyncio.get_running_loop().run_in_executor(self._executor, apply)

    async def _list_again(self) -> None:
        if self._relistings == _RELISTINGS:
            raise ReplicaFileMissing(
                f"Files of {self._files[0].database} go away while they are read, again and again. "
                "Stop what replicates to the same place, or wait until it has compacted its files."
            )
        self._relistings += 1
        self._files = await list_ltx(self._reader, self._files[0].database)
        if self._as_of_ms is not None:
            await self._find_times()

    def _nothing(self) -> Outcome:
        wanted = [
            file for file in self._files if self._as_of_ms is None or file.time_ms < self._as_of_ms
        ]
        if not wanted and not self._damaged:
            return Outcome(False, "it did not exist yet", is_later=True)
        reason = "no file of it has the whole database"
        return Outcome(False, self._with_damage(reason), read_bytes=self._read_bytes)

    def _outcome(self, plan: Plan, applied: Applied) -> Outcome:
        reason = self._with_damage("")
        if plan.missing is not None:
            first, last = plan.missing
            newest_ms = max(file.time_ms for file in self._files if file.name.last == last)
            reason = self._with_damage(
                f"it is as of {time_text(applied.timestamp_ms)}; transactions {first} to {last}, "
                f"until {time_text(newest_ms)}, are lost"
            )
        return Outcome(
            True,
            reason,
            has_lost=plan.missing is not None,
            last=applied.last,
            newest_ms=applied.timestamp_ms,
            off_ms=self._off_ms(applied),
            read_bytes=self._read_bytes,
        )

    def _off_ms(self, applied: Applied) -> int:
        """Return how uncertain the time is: changes may be merged with some of a later time."""
        if self._as_of_ms is None:
            return 0
        later = [file.name for file in self._files if file.name.last > applied.last]
        if not later:
            return 0
        following = min(later, key=lambda name: (name.last, -name.first))
        if following.first == following.last == applied.last + 1:
            return 0
        return max(0, self._as_of_ms - applied.timestamp_ms)

    def _with_damage(self, reason: str) -> str:
        found = [f"{path} is damaged: {why}" for path, why in self._damaged.items()]
        more = f"{len(found) - _EXAMPLES} more" if len(found) > _EXAMPLES else ""
        return "; ".join(filter(None, (reason, *found[:_EXAMPLES], more)))
