"""What the name of an LTX file says: `<database>/ltx/<level>/<first>-<last>.ltx`.

Transactions have 16 hexadecimal digits. Level 0 holds a file for each sync, levels 1 to 8 hold
merged ones, and level 9 holds snapshots.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, Protocol

from pds.replication.replica.place import StoredFile

SNAPSHOT_LEVEL: Final = 9

_PATH: Final = re.compile(
    r"(?P<database>.+)/ltx/(?P<level>[0-9])/(?P<first>[0-9a-f]{16})-(?P<last>[0-9a-f]{16})\.ltx"
)


@dataclass(slots=True, frozen=True, order=True)
class LtxName:
    """Which transactions of a database a file has, and at which level."""

    level: int
    """0 to 9."""
    first: int
    last: int

    def file_name(self) -> str:
        """Return the last part of the file's path."""
        return f"{self.first:016x}-{self.last:016x}.ltx"

    def path(self, database: str) -> str:
        """Return the path of the file in a replica."""
        return f"{database}/ltx/{self.level}/{self.file_name()}"


@dataclass(slots=True, frozen=True)
class LtxFile:
    """An LTX file of a replica, as a listing shows it."""

    database: str
    """The name of its database in the replica, such as `sequencer.sqlite`."""
    name: LtxName
    path: str
    """Its name in the replica."""
    size: int
    """Length in bytes."""
    modified_ms: int
    """When it was written, by the clock of the place, in Unix milliseconds.

    In a directory this is the time of its last transaction; in a bucket it may be much later.
    """
    timestamp_ms: int | None = None
    """The time of its last transaction as the header has it, where that is known."""

    @property
    def time_ms(self) -> int:
        """The time of its last transaction, as well as we know it."""
        return self.modified_ms if self.timestamp_ms is None else self.timestamp_ms


def parse_ltx(file: StoredFile) -> LtxFile | None:
    """Return what the name of a file of a replica says, or None if it is no LTX file."""
    match = _PATH.fullmatch(file.name)
    if match is None:
        return None
    first, last = int(match["first"], 16), int(match["last"], 16)
    if not 1 <= first <= last:
        return None
    name = LtxName(int(match["level"]), first, last)
    return LtxFile(match["database"], name, file.name, file.size, round(file.modified_s * 1000))


class Lister(Protocol):
    """What lists the files of a replica, such as a `ReplicaPlace`."""

    def list(self, prefix: str, /) -> AsyncIterator[StoredFile]: ...


async def list_ltx(place: Lister, database: str) -> list[LtxFile]:
    """Return the LTX files of one database."""
    found = [parse_ltx(file) async for file in place.list(f"{database}/")]
    return [file for file in found if file is not None and file.database == database]
