"""Processes that count pulls and kill themselves, each at another step of writing them down.

`python -m tests.pds.hold.stats.counting_child DIRECTORY` forks one for every step, whose data are
in the directory of that name.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

from pds.hold.hold import HOLD
from pds.hold.stats import writer as stats_writer
from pds.hold.stats.journal import StatsJournal
from pds.hold.stats.writer import StatsWriter
from sequencer.sequencer import Sequencer
from tests.pds.conftest import start_pds
from tests.pds.hold.conftest import HOLD_ENVIRON

OWNER: Final = "did:plc:owneraaaaaaaaaaaaaaaaaaa"
WRITTEN, JOURNALED, COUNTED = 10, 20, 5
"""Pulls in records, in the journal and in memory when the last writing begins."""


def _die(*_: object, **__: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _after(owner: Any, name: str) -> None:
    """Die as soon as a method has done its work."""
    method: Callable[..., Any] = getattr(owner, name)

    def work_and_die(*args: Any, **more: Any) -> None:
        method(*args, **more)
        _die()

    setattr(owner, name, work_and_die)


def _after_async(owner: Any, name: str) -> None:
    method: Callable[..., Any] = getattr(owner, name)

    async def work_and_die(*args: Any, **more: Any) -> None:
        await method(*args, **more)
        _die()

    setattr(owner, name, work_and_die)


STEPS: Final[dict[str, tuple[Callable[[], None], int]]] = {
    # A step, and how many pulls there are after a restart.
    "before the journal is written": (lambda: setattr(StatsJournal, "add", _die), 30),
    "while the journal is written": (lambda: _after(StatsJournal, "add"), 30),
    "after the journal is written": (lambda: setattr(StatsWriter, "write_all", _die), 35),
    "while the commit is prepared": (lambda: _after(StatsJournal, "stage"), 35),
    "before the commit": (lambda: setattr(stats_writer, "commit", _die), 35),
    "between the commit and its event": (lambda: setattr(Sequencer, "append", _die), 35),
    "after the commit": (lambda: _after_async(stats_writer, "commit"), 35),
    "while the journal is cleared": (lambda: _after(StatsJournal, "settle"), 35),
    "after everything": (lambda: _after_async(StatsWriter, "_write_batch"), 35),
}


async def main(data: Path, step: str) -> None:
    async with AsyncExitStack() as stack:
        stats = (await start_pds(stack, data, HOLD_ENVIRON)).app[HOLD].stats
        for pulls, write in (
            (WRITTEN, stats.write_records),
            (JOURNALED, stats.write_journal),
        ):
            for _ in range(pulls):
                stats.count_pull(OWNER, "myapp")
            await write()
        for _ in range(COUNTED):
            stats.count_pull(OWNER, "myapp")
        STEPS[step][0]()
        await stats.write_records()


def run(directory: Path, step: str) -> int:
    """Fork a process that ends at a step, and return its exit status, or minus its signal."""
    data = directory / step
    data.mkdir()
    pid = os.fork()
    if pid == 0:
        asyncio.run(main(data, step))
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


if __name__ == "__main__":
    statuses = {step: run(Path(sys.argv[1]), step) for step in STEPS}
    unexpected = {step: status for step, status in statuses.items() if status != -signal.SIGKILL}
    sys.exit(str(unexpected) if unexpected else 0)
