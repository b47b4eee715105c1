"""A `pds` command on a disk that takes its time to sync: `python -m benchmarks.slow_disk 5 dev …`.

The first argument is how many milliseconds every fsync and fdatasync takes, SQLite's as well as our
own; several go on at the same time, as on a disk with a queue.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

import apsw

from pds.cli import main


class _SlowFile(apsw.VFSFile):
    delay_s = 0.0

    def xSync(self, flags: int) -> None:  # noqa: N802 (SQLite's)
        time.sleep(self.delay_s)
        super().xSync(flags)


class _SlowVfs(apsw.VFS):
    def __init__(self) -> None:
        super().__init__("slow", "unix", makedefault=True)

    def xOpen(  # noqa: N802 (SQLite's)
        self, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> apsw.VFSFile:
        return _SlowFile("unix", name, flags)


def install(delay_s: float) -> apsw.VFS:
    """Make every sync of this process take `delay_s` longer, while the result is kept."""
    _SlowFile.delay_s = delay_s

    def slow(sync: Callable[[int], None]) -> Callable[[int], None]:
        def slowly(descriptor: int) -> None:
            time.sleep(delay_s)
            sync(descriptor)

        return slowly

    for name in ("fsync", "fdatasync"):
        setattr(os, name, slow(getattr(os, name)))
    return _SlowVfs()


if __name__ == "__main__":
    _vfs = install(float(sys.argv[1]) / 1000)
    main(sys.argv[2:])
