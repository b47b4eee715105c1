"""Keeps the replica of one database small: merges its files and deletes what nothing needs.

Litestream does so for the databases that it has open. For those of actors, which are closed most
of the time, we do it, by the rules of `ltx/upkeep`. Nothing is deleted before what replaces it has
been written, so that a crash between any two steps leaves a replica that gives every state that the
whole would give.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pds.replication.errors import DamagedReplicaFile
from pds.replication.ltx.errors import DamagedLtx
from pds.replication.ltx.names import SNAPSHOT_LEVEL, LtxFile, list_ltx
from pds.replication.ltx.planning import Plan, plan_restore
from pds.replication.ltx.reading import is_complete
from pds.replication.ltx.transfer import Transfer
from pds.replication.ltx.upkeep import (
    HIGHEST_MERGED,
    groups_to_merge,
    is_snapshot_due,
    next_superfluous_ms,
    superfluous,
)
from pds.replication.replica.place import ReplicaPlace

_LOOKED_AT: Final = 50
"""How many files beyond a gap are searched for one that has the whole database."""


@dataclass(slots=True, frozen=True)
class Compacted:
    """What a compaction has done."""

    files: int
    """How many files the database has in the replica now."""
    merged: int
    """How many merged files it has written, snapshots not counted."""
    has_snapshot: bool
    """Whether it has written a snapshot."""
    deleted: int
    due_s: float | None
    """When the next file can be deleted, in Unix seconds, even if nothing changes; None: never."""
    damaged: tuple[str, ...]
    """Files that cannot be read: some older states are lost, but not the newest."""


async def compact(
    place: ReplicaPlace,
    database_name: str,
    *,
    now_s: float,
    retention_s: float,
    scratch: Path | None = None,
) -> Compacted:
    """Merge, write a snapshot and delete, whatever is due. Litestream must not have it open.

    `retention_s` is how long ago the states are that a restore may ask for. `scratch` is a
    directory for temporary files, which large databases need.

    Raises `DamagedReplicaFile`, without deleting anything, if the replica does not give the newest
    state any more: then Litestream must upload the database anew. Also raises the errors of the
    place, and `OSError`s of the local disk.
    """
    async with Transfer(place, scratch=scratch) as transfer:
        files = await list_ltx(place, database_name)
        work = _Work(files, transfer, int(now_s * 1000), int(retention_s * 1000))
        has_snapshot = False
        if files:
            await work.merge_levels()
            has_snapshot = await work.write_snapshot()
        kept, doomed, due_ms = await asyncio.to_thread(work.sort_out)
        if doomed:
            await place.delete([file.path for file in doomed])
        return Compacted(
            files=len(kept),
            merged=work.merged,
            has_snapshot=has_snapshot,
            deleted=len(doomed),
            due_s=None if due_ms is None else due_ms / 1000,
            damaged=tuple(sorted(work.damaged)),
        )


class _Work:
    """The files of a database, while they become fewer. Rules run in threads: there may be many."""

    def __init__(
        self, files: list[LtxFile], transfer: Transfer, now_ms: int, retention_ms: int
    ) -> None:
        self._files = files
        self._transfer = transfer
        self._now_ms = now_ms
        self._retention_ms = retention_ms
        self._complete: set[str] = set()
        self.damaged: set[str] = set()
        self.merged = 0

    async def merge_levels(self) -> None:
        """Merge level by level, around files that turn out to be damaged."""
        level = 0
        while level < HIGHEST_MERGED:
            try:
                for group in await asyncio.to_thread(self._groups, level):
                    self._files.append(await self._transfer.merge(group, level + 1))
                    self.merged += 1
            except DamagedLtx as exc:
                self.damaged.add(exc.path)
            else:
                level += 1

    async def write_snapshot(self) -> bool:
        """Write a snapshot if it is due, or if it closes a gap; return whether it did."""
        while True:
            plan = await self._plan()
            closes_gap = plan.files[0].path in self._complete
            if not closes_gap and not is_snapshot_due(plan):
                return False
            try:
                self._files.append(await self._transfer.merge(plan.files, SNAPSHOT_LEVEL))
            except DamagedLtx as exc:
                self.damaged.add(exc.path)
            else:
                return True

    def sort_out(self) -> tuple[list[LtxFile], list[LtxFile], int | None]:
        """Return what to keep, what to delete, and when the next file can be deleted."""
        now_ms, retention_ms = self._now_ms, self._retention_ms
        doomed = superfluous(self._usable(), now_ms=now_ms, retention_ms=retention_ms)
        paths = {file.path for file in doomed}
        kept = [file for file in self._files if file.path not in paths]
        return kept, doomed, next_superfluous_ms(kept, now_ms=now_ms, retention_ms=retention_ms)

    def _usable(self) -> list[LtxFile]:
        """Return all files but the damaged ones, which replace nothing."""
        return [file for file in self._files if file.path not in self.damaged]

    def _groups(self, level: int) -> list[list[LtxFile]]:
        return groups_to_merge(
            self._usable(), level, now_ms=self._now_ms, retention_ms=self._retention_ms
        )

    async def _plan(self) -> Plan:
        """Return how to restore the newest state, beginning anew beyond a gap if need be."""
        while True:
            plan = await asyncio.to_thread(
                plan_restore, self._files, damaged=self.damaged, complete=self._complete
            )
            if plan is not None and plan.missing is None:
                return plan
            if not await self._find_complete(0 if plan is None else plan.last):
                raise DamagedReplicaFile(
                    f"The replica of {self._files[0].database} does not give the newest state: "
                    f"damaged are {', '.join(sorted(self.damaged)) or 'none'} of its files, "
                    "others are missing"
                )

    async def _find_complete(self, after: int) -> bool:
        """Search for one more file beyond transaction `after` that has the whole database."""
        beyond = [
            file
            for file in self._usable()
            if file.name.first > after + 1 and file.path not in self._complete
        ]
        beyond.sort(key=lambda file: file.size, reverse=True)
        for file in beyond[:_LOOKED_AT]:
            try:
                [source] = await self._transfer.fetch([file])
                if await asyncio.to_thread(is_complete, source):
                    self._complete.add(file.path)
                    return True
            except DamagedLtx as exc:
                self.damaged.add(exc.path)
        return False
