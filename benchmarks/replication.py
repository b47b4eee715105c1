"""`python -m benchmarks.replication`: one `pds replicate` with many accounts.

It shows how long the first copy takes, what an idle server costs, how soon writes that are spread
over many accounts reach the replica, and how long a restart takes to find that nothing changed.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
import uvloop

from benchmarks import machine
from benchmarks.many_accounts import Writer, make_accounts
from benchmarks.memory import memory_of
from pds.replication.options import ReplicationOptions, SealingOptions
from pds.replication.replica import names
from pds.replication.replica.url import ReplicaUrl
from pds.replication.status import ReplicationStatus, read_status
from pds.replication.supervising.supervisor import run_supervisor
from tests.seaweedfs import SeaweedFs

_TICKS: Final = os.sysconf("SC_CLK_TCK")
_STEP_S: Final = 0.05
_LONGEST_S: Final = 3600.0


@dataclass(slots=True)
class _Supervisor:
    """A supervisor in a process of its own."""

    process: subprocess.Popen[bytes]
    status_file: Path

    def status(self) -> ReplicationStatus | None:
        status = read_status(self.status_file)
        return status if status is not None and status.pid == self.process.pid else None

    def pids(self) -> list[int]:
        """The supervisor and its two daemons."""
        children = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [
            self.process.pid,
            *(int(pid) for file in children for pid in file.read_text().split()),
        ]

    def cpu_s(self) -> tuple[float, float]:
        """Seconds of CPU so far: the supervisor and its daemons, ended ones included."""
        own, ended = _cpu_s(self.process.pid)
        return own, ended + sum(sum(_cpu_s(pid)) for pid in self.pids()[1:])

    def until(self, holds: Callable[[ReplicationStatus], bool]) -> ReplicationStatus:
        deadline = time.monotonic() + _LONGEST_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                sys.exit("the supervisor has ended")
            status = self.status()
            if status is not None and holds(status):
                return status
            time.sleep(_STEP_S)
        sys.exit("that takes too long")


def _cpu_s(pid: int) -> tuple[float, float]:
    """Seconds of CPU of a process, and of its children that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system, ended_user, ended_system = (int(field) / _TICKS for field in fields[11:15])
    return user + system, ended_user + ended_system


@contextmanager
def _replicating(data: Path, url: str, log: Path, hot_set: int) -> Iterator[_Supervisor]:
    with log.open("ab") as file:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "benchmarks.replication",
                "supervise",
                str(data),
                url,
                str(hot_set),
            ],
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        yield _Supervisor(process, data / "replication.json")
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


@click.group()
def main() -> None:
    """Measure replication with many accounts."""


@main.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.argument("url")
@click.argument("hot_set", type=int)
def supervise(data: Path, url: str, hot_set: int) -> None:
    """Replicate a directory of this benchmark until a signal (in a process of its own)."""
    options = ReplicationOptions(
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
    uvloop.run(_supervise(options))


async def _supervise(options: ReplicationOptions) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await run_supervisor(options, stop)


@main.command()
@click.option("--accounts", default=20_000, show_default=True)
@click.option("--written", default=5_000, show_default=True, help="Accounts that are written to.")
@click.option("--rate", default=200, show_default=True, help="Writes a second.")
@click.option("--hot-set", default=500, show_default=True)
@click.option("--seconds", default=60.0, show_default=True, help="How long each phase lasts.")
@click.option("--s3", is_flag=True, help="To a SeaweedFS instead of a directory.")
@click.option("--work", type=click.Path(path_type=Path), default=Path("/tmp/bench-replication"))
@click.option("--keep", is_flag=True, help="Go on with the accounts and replica of the last run.")
def measure(
    *,
    accounts: int,
    written: int,
    rate: int,
    hot_set: int,
    seconds: float,
    s3: bool,
    work: Path,
    keep: bool,
) -> None:
    """Make accounts, copy them, wait, write, and start again; print a table."""
    # The default action would leave a supervisor behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    data, replica = work / "data", work / "replica"
    if not keep:
        shutil.rmtree(work, ignore_errors=True)
        data.mkdir(parents=True)
        (data / "blobs").mkdir()
        replica.mkdir()
        size = make_accounts(data, accounts)
        _say(f"{accounts:,} accounts of {size / 1024:.0f} KiB")
    with _place(work, replica, s3=s3) as url:
        rows = list(_phases(data, url, work / "log", hot_set, accounts, written, rate, seconds))
        if not s3:
            rows.append(_independent(replica))
    print(f"{machine.describe()}\n")
    for name, value in rows:
        print(f"| {name} | {value} |")


_WRITTEN: list[tuple[str, float]] = []


@contextmanager
def _place(work: Path, replica: Path, *, s3: bool) -> Iterator[str]:
    if not s3:
        yield f"file://{replica}"
        return
    (work / "weed").mkdir(exist_ok=True)
    server = SeaweedFs.start(work / "weed")
    try:
        bucket = asyncio.run(server.create_bucket("replica")).bucket
        os.environ["AWS_ACCESS_KEY_ID"] = server.access_key_id
        os.environ["AWS_SECRET_ACCESS_KEY"] = server.secret_access_key
        yield f"s3://{bucket}/pds?endpoint={server.url}&region=us-east-1&force-path-style=true"
    finally:
        server.kill()


def _phases(
    data: Path,
    url: str,
    log: Path,
    hot_set: int,
    accounts: int,
    written: int,
    rate: int,
    seconds: float,
) -> Iterator[tuple[str, str]]:
    with _replicating(data, url, log, hot_set) as made:
        started = time.monotonic()
        made.until(lambda status: _is_done(status, accounts))
        taken = time.monotonic() - started
        yield "first copy", f"{taken:.0f} s, {accounts / taken:.0f} accounts/s"
        yield "memory after it", _memory(made)
        yield from _idle(made, seconds, "idle")
        _say("writing")
        writer = Writer(data, written)
        before, oldest = made.cpu_s(), 0.0
        started = time.monotonic()
        count = 0
        while (at := time.monotonic() - started) < seconds:
            due = int(at * rate) - count
            writer.write(due) if due else None
            count += due
            status = made.status()
            oldest = max(oldest, status.actors.oldest_unsynced_s if status else 0.0)
            time.sleep(_STEP_S)
        status = made.status()
        after = made.cpu_s()
        _WRITTEN.extend(writer.written)
        writer.close()
        assert status is not None
        lag = status.lag
        yield (
            f"{rate} writes/s over {written:,} accounts: lag p50, p99, max",
            (f"{lag.p50_s:.2f}, {lag.p99_s:.2f}, {lag.max_s:.2f} s ({lag.changes:,} changes)"),
        )
        yield "oldest unsynced change seen", f"{oldest:.1f} s"
        yield "CPU meanwhile", _percents(before, after, time.monotonic() - started)
        yield "memory after it", _memory(made)
        made.until(lambda status: not status.actors.dirty)
        yield from _idle(made, seconds, "idle again")
        yield "compactions", str(made.until(lambda _: True).totals.compactions)
    with _replicating(data, url, log, hot_set) as made:
        before_sweeps = time.monotonic()
        status = made.until(lambda status: _is_done(status, accounts))
        taken = time.monotonic() - before_sweeps
        yield "start again", f"{taken:.1f} s until all is known, {status.totals.syncs} syncs"


def _is_done(status: ReplicationStatus, accounts: int) -> bool:
    has_looked = status.state == "running" and status.totals.sweeps > 0
    return has_looked and status.actors.known == accounts and not status.actors.dirty


def _idle(made: _Supervisor, seconds: float, name: str) -> Iterator[tuple[str, str]]:
    _say(f"waiting until the hot set is empty, then {seconds:.0f} s")
    made.until(lambda status: not status.actors.hot and not status.actors.dirty)
    before, started = made.cpu_s(), time.monotonic()
    time.sleep(seconds)
    yield f"{name}: CPU", _percents(before, made.cpu_s(), time.monotonic() - started)
    yield f"{name}: memory", _memory(made)


def _independent(replica: Path) -> tuple[str, str]:
    """How long the files of writes took to appear in the replica, by their times there."""
    lags: list[float] = []
    by_did: dict[str, list[float]] = {}
    for did, at in _WRITTEN:
        by_did.setdefault(did, []).append(at)
    missing = 0
    for did, times in by_did.items():
        directory = replica / names.actor_database(did) / "ltx" / "0"
        appeared = sorted(path.stat().st_ctime for path in directory.iterdir())
        for at in times:
            after = next((time for time in appeared if time >= at - 0.01), None)
            if after is None:
                missing += 1
            else:
                lags.append(after - at)
    lags.sort()
    return "lag by the files' times: p50, p99, max", (
        f"{lags[len(lags) // 2]:.2f}, {lags[len(lags) * 99 // 100]:.2f}, {lags[-1]:.2f} s"
        f" ({missing} missing)"
    )


def _percents(before: tuple[float, float], after: tuple[float, float], seconds: float) -> str:
    own, daemons = (100 * (two - one) / seconds for one, two in zip(before, after, strict=True))
    return f"{own + daemons:.1f} % of a core (supervisor {own:.1f}, daemons {daemons:.1f})"


def _memory(made: _Supervisor) -> str:
    each = [memory_of(pid).now for pid in made.pids()[1:]]
    whole = memory_of(made.process.pid)
    daemons = " + ".join(f"{mib:.0f}" for mib in each)
    return f"{whole.now:.0f} MiB, peak {whole.peak:.0f} (of these, daemons {daemons})"


def _say(text: str) -> None:
    print(json.dumps(text), file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
