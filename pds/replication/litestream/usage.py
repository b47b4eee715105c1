"""What a process uses, as Linux tells: see proc(5)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_USER_TIME: Final = 11
"""Position of `utime` after the name of the program; `stime` follows it, `rss` is ten further."""


@dataclass(slots=True, frozen=True)
class Usage:
    """What a process has used since its start, and has now."""

    cpu_s: float
    """Seconds of processor time, of all threads."""
    rss_bytes: int
    """Memory in RAM."""
    open_files: int
    """Files and connections."""


def usage_of(pid: int) -> Usage | None:
    """Return what a process uses, or None if it has ended."""
    directory = Path("/proc") / str(pid)
    try:
        stat = (directory / "stat").read_text()
        open_files = sum(1 for _ in (directory / "fd").iterdir())
    except (OSError, ValueError):
        return None
    # The name of the program, in brackets, may have blanks and brackets of its own.
    fields = stat.rpartition(")")[2].split()
    ticks = int(fields[_USER_TIME]) + int(fields[_USER_TIME + 1])
    return Usage(
        cpu_s=ticks / _TICKS_A_SECOND,
        rss_bytes=int(fields[_USER_TIME + 10]) * _PAGE_BYTES,
        open_files=open_files,
    )
