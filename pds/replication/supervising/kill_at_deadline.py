"""Kills processes at a deadline that is not put off.

`python -I -S kill_at_deadline.py`: this file runs on its own. Each line of its input replaces the
deadline, in seconds of CLOCK_BOOTTIME, and the ids of the processes, which have to be children of
the process that started this one. It ends with its input.
"""

import os
import select
import signal
import sys
import time
from collections.abc import Iterable
from pathlib import Path

_LOOK_EVERY_S = 1.0


def main() -> None:
    """Kill what has to end, until the input ends."""
    # Signals to the whole group are for the parent, whose end closes the input.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    parent, source = os.getppid(), sys.stdin.fileno()
    deadline_s, rest = float("inf"), ""
    pids: list[str] = []
    while True:
        left_s = deadline_s - time.clock_gettime(time.CLOCK_BOOTTIME)
        if left_s <= 0:
            _kill(pids, parent)
        if select.select((source,), (), (), min(max(left_s, 0.1), _LOOK_EVERY_S))[0]:
            data = os.read(source, 65536)
            if not data:
                return
            *lines, rest = (rest + data.decode()).split("\n")
            if lines:
                deadline, *pids = lines[-1].split()
                deadline_s = float(deadline)


def _kill(pids: Iterable[str], parent: int) -> None:
    for pid in pids:
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
            # Another process may have the id by now.
            if int(stat.rpartition(")")[2].split()[1]) == parent:
                os.kill(int(pid), signal.SIGKILL)
        except OSError:
            continue


if __name__ == "__main__":
    main()
