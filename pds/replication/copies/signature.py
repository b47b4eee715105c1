"""What shows, without reading a file, that it is still the same."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass(slots=True, frozen=True)
class Signature:
    """A file's length, time and inode."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, stat: os.stat_result) -> Signature:
        """Return that of a file's status."""
        return cls(stat.st_size, stat.st_mtime_ns, stat.st_ino)
