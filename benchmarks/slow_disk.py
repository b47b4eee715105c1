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


def install(delay_s: float) -> None:
    """Make every sync of this process take `delay_s` longer."""
    _SlowFile.delay_s = delay_s
    initialize = apsw.initialize

    def initialize_slowly() -> None:
        # This makes SQLite's own VFS the default again.
        initialize()
        _kept.append(_SlowVfs())

    apsw.initialize = initialize_slowly
    initialize_slowly()

    def slow(sync: Callable[[int], None]) -> Callable[[int], None]:
        def slowly(descriptor: int) -> None:
            time.sleep(delay_s)
            sync(descriptor)

        return slowly

    for name in ("fsync", "fdatasync"):
        setattr(os, name, slow(getattr(os, name)))


_kept: list[apsw.VFS] = []
"""SQLite does not keep them alive."""

if __name__ == "__main__":
    install(float(sys.argv[1]) / 1000)
    main(sys.argv[2:])
