"""Resident memory of a server and its children, from /proc, and what of it open stores take."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_FEW: Final = 2_000
_MANY: Final = 10_000
_ROUNDS: Final = 3


@dataclass(slots=True, frozen=True)
class Memory:
    """Resident memory in MiB."""

    now: float
    peak: float


@dataclass(slots=True, frozen=True)
class OpenStores:
    """Memory of a server whose accounts are read one after the other."""

    kib_each: float
    """What a store takes that has been read once, in KiB."""
    open: int
    """Stores that are open in the end."""
    mib: float
    """Memory of the server then, in MiB, when all have been read three times."""


def measure_open_stores(
    pid: int, paths: Sequence[str], read: Callable[[str], object]
) -> OpenStores:
    """Read accounts, whose stores must not be open yet, with a request to each of the `paths`."""
    few = paths[:_FEW]
    before = memory_of(pid).now
    for path in few:
        read(path)
    kib_each = (memory_of(pid).now - before) * 1024 / len(few)
    for _ in range(_ROUNDS):
        for path in paths[:_MANY]:
            read(path)
    return OpenStores(kib_each, _open_stores(pid), memory_of(pid).now)


def _open_stores(pid: int) -> int:
    files = (str(file.readlink()) for file in Path(f"/proc/{pid}/fd").iterdir())
    return sum(file.endswith("/store.sqlite") for file in files)


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


def processes_of(pid: int) -> list[int]:
    """Return a process and its descendants."""
    return [pid, *(each for child in _children(pid) for each in processes_of(child))]


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(child) for child in task.read_text().split()]
    return found
