"""What a process uses, as Linux tells: see proc(5)."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")


@dataclass(slots=True, frozen=True)
class Usage:
    """What a process has."""

    rss_bytes: int
    """Memory in RAM."""
    open_files: int
    """Files and connections."""


def usage_of(pid: int) -> Usage | None:
    """Return what a process uses, or None if it has ended."""
    directory = Path("/proc") / str(pid)
    try:
        _size, resident, *_ = (directory / "statm").read_text().split()
        open_files = sum(1 for _ in (directory / "fd").iterdir())
    except (OSError, ValueError):
        return None
    return Usage(int(resident) * _PAGE_BYTES, open_files)
