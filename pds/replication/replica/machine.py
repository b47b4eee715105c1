"""What this machine knows of itself: since when it runs, and which of its processes have ended."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_PID_NAMESPACE: Final = Path("/proc/self/ns/pid")


def boot_id() -> str | None:
    """Return the id of this start of the machine; None if it is unknown."""
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return None


def pid_space() -> str:
    """Name what this process's pid is unique in: a start of a machine, or of a container on it.

    Empty if it is unknown.
    """
    try:
        namespace = str(_PID_NAMESPACE.readlink())
    except OSError:
        return ""
    booted = boot_id()
    return "" if booted is None else f"{booted} {namespace}"


def has_ended(pid: int) -> bool:
    """Whether no process has `pid`. One that another user runs has not ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False
