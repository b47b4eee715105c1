"""Memory: how much there is for this process, and what SQLite may take of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import apsw

_ROOT: Final = Path("/")
_UNKNOWN_BYTES: Final = 1 << 30
"""Assumed where the system does not tell: a small machine."""
_SQLITE_SHARE: Final = 4
"""Above this fraction (1/n) of the memory, page caches reuse their own pages instead of growing."""


def memory_bytes(root: Path = _ROOT) -> int:
    """Return how much memory this process and its like may take: the machine's, or its cgroup's.

    Limits of cgroups, versions 1 and 2, count with those of all groups around them. `root` is where
    /proc and /sys are.
    """
    return min([_machine_bytes(root), *_cgroup_limits(root)])


def use_memory_sparingly(memory: int) -> None:
    """Make SQLite take less memory for each connection, and a share of `memory` bytes in all.

    To be called before the first connection is opened; with one open, only the share is set.

    By default each connection allocates 47 KiB of lookaside memory, in which statements take twice
    the space. glibc's allocator is as fast.
    """
    with suppress(apsw.MisuseError):
        apsw.shutdown()
        apsw.config(apsw.SQLITE_CONFIG_LOOKASIDE, 0, 0)
    apsw.initialize()
    apsw.soft_heap_limit(memory // _SQLITE_SHARE)


def _machine_bytes(root: Path) -> int:
    with suppress(OSError, ValueError):
        for line in (root / "proc/meminfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name == "MemTotal":
                return int(value.split()[0]) * 1024
    return _UNKNOWN_BYTES


def _cgroup_limits(root: Path) -> Iterator[int]:
    with suppress(OSError):
        for line in (root / "proc/self/cgroup").read_text().splitlines():
            _, controllers, group = line.split(":", 2)
            if not controllers:
                yield from _limits(root / "sys/fs/cgroup", group, ("memory.max", "memory.high"))
            elif "memory" in controllers.split(","):
                yield from _limits(root / "sys/fs/cgroup/memory", group, ("memory.limit_in_bytes",))


def _limits(mount: Path, group: str, names: tuple[str, ...]) -> Iterator[int]:
    """The limits of a group and of those around it, which in a container may not be visible."""
    # Seen from within a namespace, a group may be "/../outside".
    innermost = Path(os.path.normpath(group))
    for directory in (innermost, *innermost.parents):
        for name in names:
            # "max" is no number, and no limit.
            with suppress(OSError, ValueError):
                yield int((mount / directory.relative_to("/") / name).read_text())
