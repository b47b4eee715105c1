"""The sweep: a paced look at the files of all actors.

It finds what makes no event (preferences, uploads), actors that came or went while nobody followed
the log, and everything if the ledger was lost. Directory by directory, its findings are compared
with the rows of the ledger, so that memory does not grow with accounts.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from actor_store.layout import STORE, is_name
from pds.replication.changes.signature import FilesSeen, look_at
from pds.replication.ledger.actor_rows import SHARDS
from pds.replication.ledger.rows import SweptRow

_PACE: Final = 0.2
"""The part of a sweep's interval over which its steps are spread."""

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Found:
    """What one directory has that the ledger does not know."""

    new: list[tuple[str, int]] = field(default_factory=list)
    """Actors without a row, each with when its files changed, in Unix milliseconds."""
    changed: list[tuple[str, FilesSeen]] = field(default_factory=list)
    """Actors whose files changed, each with how they look now."""
    replaced: list[str] = field(default_factory=list)
    """Actors whose database is another file than the one that is open."""
    gone: list[str] = field(default_factory=list)
    """Actors whose database is not there any more."""
    present: int = 0
    """All that are there."""
    is_missing: bool = False
    """Whether there is no such directory; an actor that is deleted leaves it to others."""


class FileSweep:
    """Looks at the files of one directory after another."""

    def __init__(
        self,
        actors_directory: Path,
        *,
        rows: Callable[[int], Mapping[str, SweptRow]],
        open_inode: Callable[[str], int | None],
        report: Callable[[Found], Awaitable[None]],
    ) -> None:
        """Prepare sweeps.

        `rows` returns the ledger's rows of a shard. `open_inode` returns the inode of the database
        that Litestream has open for a DID, None if it has none: its changes are seen by Litestream
        itself.
        """
        self._directory = actors_directory
        self._rows = rows
        self._open_inode = open_inode
        self._report = report

    async def run(self, interval_s: float) -> int:
        """Look at everything once, spread over a part of `interval_s`; return how many there are.

        Raises `OSError` if the directory of actors cannot be read, or seems not to be mounted.
        """
        try:
            names = set(await asyncio.to_thread(os.listdir, self._directory))
        except FileNotFoundError:
            names = set()  # As long as no account has been made.
        pause_s = interval_s * _PACE / SHARDS
        present, gone, is_mounted = 0, list[str](), True
        for shard in range(SHARDS):
            name = f"{shard:02x}"
            rows = self._rows(shard)
            if name in names or rows:
                found = await asyncio.to_thread(self._look, self._directory / name, rows)
                present += found.present
                gone += found.gone
                is_mounted = is_mounted and not (found.gone and found.is_missing)
                found.gone = []
                if found.changed:
                    self._drop_synced(shard, found)
                await self._tell(found)
            await asyncio.sleep(pause_s)
        if not present and not is_mounted:
            raise OSError(f"{self._directory} has no actor any more: is its disk mounted?")
        await self._tell(Found(gone=gone))
        return present

    def _drop_synced(self, shard: int, found: Found) -> None:
        """Drop what was synced or marked while the files were looked at."""
        rows = self._rows(shard)
        found.changed = [
            (did, seen)
            for did, seen in found.changed
            if did in rows and self._open_inode(did) is None and _has_changed(seen, rows[did])
        ]

    async def _tell(self, found: Found) -> None:
        if found.new or found.changed or found.replaced or found.gone:
            await self._report(found)

    def _look(self, directory: Path, rows: Mapping[str, SweptRow]) -> Found:
        """Compare one directory with its rows. Runs in a thread."""
        found = Found()
        try:
            names = os.listdir(directory)  # noqa: PTH208 (names, not paths, and many)
        except FileNotFoundError:
            names = []
            found.is_missing = True
        there = set[str]()
        for name in names:
            if is_name(name) is None:
                continue
            try:
                seen = look_at(f"{directory}/{name}/{STORE}")
            except OSError as exc:
                # Unreadable for now is not gone.
                logger.debug("cannot look at %s: %s", name, exc)
                there.add(name)
                continue
            if seen is not None:
                there.add(name)
                self._compare(name, seen, rows.get(name), found)
        found.present = len(there)
        found.gone = [did for did, row in rows.items() if not row.deleted and did not in there]
        return found

    def _compare(self, did: str, seen: FilesSeen, row: SweptRow | None, found: Found) -> None:
        if row is None:
            found.new.append((did, seen.changed_ms))
            return
        open_inode = self._open_inode(did)
        if open_inode is not None:
            if open_inode != seen.inode:
                found.replaced.append(did)
        elif _has_changed(seen, row):
            found.changed.append((did, seen))


def _has_changed(seen: FilesSeen, row: SweptRow) -> bool:
    return row.deleted or (row.signature != seen.signature and not row.dirty)
