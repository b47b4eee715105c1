"""Which files of a database to merge, when it is time for a snapshot, and what to delete.

A replica gets a file of level 0 for each sync. Those of one hour become one file of level 1, many
of those one of level 2, and so on to level 3: a restore then reads few files. A snapshot is written
when the increments since the last one are as large as it is. So each byte that was synced is
written again a few times at most, however large its database.

States of the last hour can be restored exactly, those within the retention by the hour. What no
such state needs is deleted, except for the newest file of level 0, by which Litestream knows where
it is.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import groupby, pairwise
from typing import Final

from pds.replication.ltx.merging import MAX_SOURCES
from pds.replication.ltx.names import SNAPSHOT_LEVEL, LtxFile
from pds.replication.ltx.planning import Plan

PRECISION_MS: Final = 3600 * 1000
"""How far apart the states are that can be restored, within the retention."""
HIGHEST_MERGED: Final = 3
_WORTHWHILE: Final = 16
"""By how many files a merge into level 1 must reduce those of level 0."""
_MANY: Final = 32
"""Files of levels 1 and 2 that become one of the next level."""
_MANY_IN_PLAN: Final = 64
"""Increments after which a snapshot is due, even if they are only `_SMALL_PART` of its size."""
_SMALL_PART: Final = 8
_KEPT_SNAPSHOTS: Final = 8
"""About how many snapshots are kept for the time of the retention."""


def groups_to_merge(
    files: Iterable[LtxFile], level: int, *, now_ms: int, retention_ms: int
) -> list[list[LtxFile]]:
    """Return groups of files of a level, each of which becomes one file of the next level.

    They start after the last file of the next level. Empty while merging is not worthwhile.
    """
    files = list(files)
    merged = max((file.name.last for file in files if file.name.level == level + 1), default=0)
    waiting = sorted(
        (file for file in files if file.name.level == level and file.name.first > merged),
        key=lambda file: file.name,
    )
    groups = []
    for run in _runs(waiting):
        parts = _by_time(run, now_ms - retention_ms) if level == 0 else [run]
        groups += [
            part[start : start + MAX_SOURCES]
            for part in parts
            for start in range(0, len(part), MAX_SOURCES)
        ]
    if level == 0:
        return groups if len(waiting) - len(groups) >= _WORTHWHILE else []
    snapshot = max((file.name.last for file in files if is_snapshot(file)), default=0)
    needed = sum(file.name.last > snapshot for file in waiting)
    return groups if needed >= _MANY else []


def is_snapshot_due(plan: Plan) -> bool:
    """Whether the increments of a plan outweigh the snapshot that it starts with."""
    base, *increments = plan.files
    size = sum(file.size for file in increments)
    if not size:
        return False
    many = len(increments) >= _MANY_IN_PLAN and size * _SMALL_PART >= base.size
    return size >= base.size or many


def superfluous(files: Sequence[LtxFile], *, now_ms: int, retention_ms: int) -> list[LtxFile]:
    """Return the files that no state within the retention needs, nor the newest one."""
    found = _Files(files, now_ms, retention_ms)
    witness = found.witness()
    return [file for file in found.obsolete if file is not witness]


def next_superfluous_ms(files: Sequence[LtxFile], *, now_ms: int, retention_ms: int) -> int | None:
    """Return when the next file will be superfluous if nothing changes; None: never."""
    found = _Files(files, now_ms, retention_ms)
    times = [found.obsolete_at(file) for file in found.needed]
    if found.witness() is not None:
        times += [file.modified_ms + retention_ms for file in found.needed]
    return min((time for time in times if now_ms < time < _NEVER), default=None)


def is_snapshot(file: LtxFile) -> bool:
    """Whether a file is at the level of snapshots."""
    return file.name.level == SNAPSHOT_LEVEL


_NEVER: Final = 1 << 62


class _Files:
    """The files of a database, arranged to find out what covers what."""

    def __init__(self, files: Sequence[LtxFile], now_ms: int, retention_ms: int) -> None:
        self._retention_ms = retention_ms
        self._oldest_ms = now_ms - retention_ms
        snapshots = sorted(filter(is_snapshot, files), key=lambda file: file.name)
        self._thinned = _thinned(snapshots, retention_ms // _KEPT_SNAPSHOTS)
        self._snapshots = [file for file in snapshots if file.path not in self._thinned]
        self._levels = {
            level: sorted(
                (file for file in files if file.name.level == level), key=lambda file: file.name
            )
            for level in range(SNAPSHOT_LEVEL)
        }
        self._newest_of_level_0 = max(
            self._levels[0], key=lambda file: file.name.last, default=None
        )
        self.obsolete: list[LtxFile] = []
        self.needed: list[LtxFile] = []
        for file in files:
            is_obsolete = self.obsolete_at(file) <= now_ms
            (self.obsolete if is_obsolete else self.needed).append(file)

    def witness(self) -> LtxFile | None:
        """Return the obsolete file that alone shows how long ago there was a replica, if any.

        Litestream restores no state that is older than all files, and in a bucket it goes by when
        they were written, which for merged ones is late.
        """
        first = min(self.obsolete, key=lambda file: file.modified_ms, default=None)
        if first is None or self.needed == []:
            return None
        shown_ms = min(file.modified_ms for file in self.needed)
        return first if shown_ms > max(first.modified_ms, self._oldest_ms) else None

    def obsolete_at(self, file: LtxFile) -> int:
        """Return the time from which on no state needs a file, in Unix milliseconds."""
        if file is self._newest_of_level_0:
            return _NEVER
        return min(self._replaced_at(file), self._merged_at(file))

    def _replaced_at(self, file: LtxFile) -> int:
        """When states are older than the retention that need a file and not a later snapshot."""
        if file.path in self._thinned:
            return 0
        later = [
            snapshot.time_ms + self._retention_ms + 1
            for snapshot in self._snapshots
            if snapshot is not file and snapshot.name.last >= file.name.last
        ]
        return min(later, default=_NEVER)

    def _merged_at(self, file: LtxFile) -> int:
        if is_snapshot(file):
            return _NEVER
        times = []
        for level in range(file.name.level + 1, SNAPSHOT_LEVEL):
            for merged in self._covering(file, level):
                times.append(merged.time_ms + self._retention_ms + 1)
                if (file.name.level, level) == (0, 1):
                    times.append(merged.time_ms + PRECISION_MS + 1)
        return min(times, default=_NEVER)

    def _covering(self, file: LtxFile, level: int) -> list[LtxFile]:
        files = self._levels[level]
        place = bisect_right(files, file.name.first, key=lambda other: other.name.first)
        return [
            other for other in files[max(0, place - 1) : place] if other.name.last >= file.name.last
        ]


def _thinned(snapshots: Sequence[LtxFile], apart_ms: int) -> set[str]:
    """Return the paths of snapshots that are close to the one before them, and not the newest."""
    doomed = set()
    kept: LtxFile | None = None
    for snapshot in snapshots[:-1]:
        if kept is not None and 0 <= snapshot.time_ms - kept.time_ms < apart_ms:
            doomed.add(snapshot.path)
        else:
            kept = snapshot
    return doomed


def _runs(files: Sequence[LtxFile]) -> list[list[LtxFile]]:
    """Return files in order, cut where one does not go on right after the one before it."""
    runs = [list(files[:1])] if files else []
    for before, file in pairwise(files):
        if file.name.first == before.name.last + 1:
            runs[-1].append(file)
        else:
            runs.append([file])
    return runs


def _by_time(files: Iterable[LtxFile], oldest_ms: int) -> list[list[LtxFile]]:
    """Return files in order, cut where an hour ends, except where they are older."""
    return [
        list(group)
        for _, group in groupby(
            files,
            lambda file: -1 if file.time_ms < oldest_ms else file.time_ms // PRECISION_MS,
        )
    ]
