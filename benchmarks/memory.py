"""Resident memory of a server and its children, from /proc."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(slots=True, frozen=True)
class Memory:
    """Resident memory in MiB."""

    now: float
    peak: float


def memory_of(pid: int) -> Memory:
    """Add up a process and its descendants; those that end meanwhile count as nothing."""
    now, peak = _status(pid)
    for child in _children(pid):
        below = memory_of(child)
        now, peak = now + below.now, peak + below.peak
    return Memory(now, peak)


def _status(pid: int) -> tuple[float, float]:
    """VmRSS and VmHWM in MiB."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except FileNotFoundError:
        return 0.0, 0.0
    fields = dict(line.split(":", 1) for line in lines if ":" in line)
    now, peak = (int(fields.get(name, "0 kB").split()[0]) / 1024 for name in ("VmRSS", "VmHWM"))
    return now, peak


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(child) for child in task.read_text().split()]
    return found
