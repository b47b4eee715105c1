"""A `pds` command whose clock a test sets: a file says by how many seconds it is wrong.

`python -m tests.e2e.shifted_clock <file> <arguments of pds…>`
"""

from __future__ import annotations

import sys
import time
from pathlib import Path


def shift(file: Path) -> None:
    """Let the clock of this process go by `file`; for modules that are imported later."""
    now, now_ns = time.time, time.time_ns

    def shift_s() -> float:
        return float(file.read_text())

    time.time = lambda: now() + shift_s()
    time.time_ns = lambda: now_ns() + int(shift_s() * 1e9)


if __name__ == "__main__":
    shift(Path(sys.argv[1]))
    from pds.cli import main

    main(sys.argv[2:])
