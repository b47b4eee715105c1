"""A supervisor of replication in a process of its own, and what it and its daemons use."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import uvloop

from benchmarks.memory import memory_of
from pds.replication.options import ReplicationOptions, SealingOptions
from pds.replication.replica.url import ReplicaUrl
from pds.replication.status import ReplicationStatus, read_status
from pds.replication.supervising.supervisor import run_supervisor

STEP_S: Final = 0.05
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_LONGEST_S: Final = 3600.0
_STOP_S: Final = 90.0


class SupervisorFailed(Exception):
    """It has ended, or does not get where it should."""


@dataclass(slots=True)
class Supervised:
    """A supervisor that runs."""

    process: subprocess.Popen[bytes]
    status_file: Path

    def status(self) -> ReplicationStatus | None:
        """What it says of itself; None before it has."""
        status = read_status(self.status_file)
        return status if status is not None and status.pid == self.process.pid else None

    def until(self, holds: Callable[[ReplicationStatus], bool]) -> ReplicationStatus:
        """Wait for a status. Raises `SupervisorFailed`."""
        deadline = time.monotonic() + _LONGEST_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise SupervisorFailed("the supervisor has ended: see its log")
            status = self.status()
            if status is not None and holds(status):
                return status
            time.sleep(STEP_S)
        raise SupervisorFailed("the supervisor takes more than an hour")

    def cpu_s(self) -> tuple[float, float]:
        """Seconds of CPU so far: its own, and those of its daemons, ended ones included."""
        own, ended = cpu_s_of(self.process.pid)
        return own, ended + sum(sum(cpu_s_of(pid)) for pid in self._daemons())

    def memory_mib(self) -> tuple[float, float]:
        """Resident memory now, and the sum of the peaks, daemons included."""
        memory = memory_of(self.process.pid)
        return memory.now, memory.peak

    def _daemons(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(pid) for file in children for pid in file.read_text().split()]


def cpu_s_of(pid: int) -> tuple[float, float]:
    """Return the seconds of CPU of a process, and of its children that have ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return 0.0, 0.0
    user, system, ended_user, ended_system = (int(field) / _TICKS for field in fields[11:15])
    return user + system, ended_user + ended_system


@contextmanager
def supervised(data: Path, url: str, *, log: Path, hot_set: int) -> Iterator[Supervised]:
    """Replicate a data directory within a block."""
    with log.open("ab") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.supervised", str(data), url, str(hot_set)],
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Supervised(process, data / "replication.json")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(_STOP_S)


def _options(data: Path, url: str, hot_set: int) -> ReplicationOptions:
    return ReplicationOptions(
        replica=ReplicaUrl.parse(url),
        service_did="did:web:bench.example",
        data_directory=data,
        account_db=data / "account.sqlite",
        sequencer_db=data / "sequencer.sqlite",
        did_cache_db=data / "did_cache.sqlite",
        hold_db=data / "hold.sqlite",
        actors_directory=data / "actors",
        blob_directory=data / "blobs",
        sealing=SealingOptions(passphrase="correct horse battery staple"),
        hot_set=hot_set,
    )


async def _run(options: ReplicationOptions) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await run_supervisor(options, stop)


if __name__ == "__main__":
    uvloop.run(_run(_options(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))))
