"""`python -m benchmarks.replication`: one `pds replicate` with many accounts.

It shows how long the first copy takes, what an idle server costs, how soon writes that are spread
over many accounts reach the replica, what an outage of the replica costs, and how long a new start
takes to find that nothing has changed.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeAlias

import click

from benchmarks import machine
from benchmarks.many_accounts import Writer, make_accounts
from benchmarks.supervised import STEP_S, Supervised, SupervisorFailed, supervised
from pds.replication.replica import names
from pds.replication.status import ReplicationStatus
from tests.seaweedfs import SeaweedFs

_POSTS: Final = 100
"""Records of each account."""
_WORK: Final = Path(__file__).with_name(".work") / "replication"

Row: TypeAlias = tuple[str, str]
"""A line of the table: what, and how much."""


@dataclass(slots=True)
class _Run:
    """What is measured, and where."""

    work: Path
    url: str
    bucket: SeaweedFs | None
    """The server of the replica; None for a directory."""
    accounts: int
    written: int
    rate: int
    hot_set: int
    seconds: float
    writes: list[tuple[str, float]] = field(default_factory=list)
    """DID and time of each write."""

    @property
    def data(self) -> Path:
        return self.work / "data"

    @contextmanager
    def supervised(self) -> Iterator[Supervised]:
        log = self.work / "log"
        with supervised(self.data, self.url, log=log, hot_set=self.hot_set) as made:
            yield made

    def is_done(self, status: ReplicationStatus) -> bool:
        """Whether everything has been looked at and is in the replica."""
        has_looked = status.state == "running" and status.totals.sweeps > 0
        return has_looked and status.actors.known == self.accounts and not status.actors.dirty

    def rows(self) -> Iterator[Row]:
        """Measure it all."""
        with self.supervised() as made:
            started = time.monotonic()
            made.until(self.is_done)
            taken = time.monotonic() - started
            yield "first copy", f"{taken:.0f} s, {self.accounts / taken:.0f} accounts/s"
            yield "memory after it", _memory(made)
            yield from self._idle(made, "idle")
            yield from self._write(made)
            made.until(lambda status: not status.actors.dirty)
            yield from self._idle(made, "idle again")
            if self.bucket is not None:
                yield from self._outage(made, self.bucket)
        with self.supervised() as made:
            started = time.monotonic()
            syncs = made.until(self.is_done).totals.syncs
            taken = time.monotonic() - started
            yield "start again", f"{taken:.0f} s until all is known, {syncs} syncs"
        if self.bucket is None:
            yield "lag by the files' times: p50, p99, max", self._lag_of_files()

    def _idle(self, made: Supervised, name: str) -> Iterator[Row]:
        _say(f"waiting until all is closed, and then {self.seconds:.0f} s")
        made.until(lambda status: not status.actors.hot and not status.actors.dirty)
        before, started = made.cpu_s(), time.monotonic()
        time.sleep(self.seconds)
        yield f"{name}: CPU", _percents(before, made.cpu_s(), time.monotonic() - started)
        yield f"{name}: memory", _memory(made)

    def _write(self, made: Supervised) -> Iterator[Row]:
        before, started = made.cpu_s(), time.monotonic()
        oldest_s = self._write_for(self.seconds, made)
        percents = _percents(before, made.cpu_s(), time.monotonic() - started)
        status = made.status()
        if status is None:
            raise SupervisorFailed("the supervisor has no status")
        lag = status.lag
        yield (
            f"{self.rate} writes/s over {self.written:,} accounts: lag p50, p99, max",
            f"{lag.p50_s:.2f}, {lag.p99_s:.2f}, {lag.max_s:.2f} s ({lag.changes:,} changes)",
        )
        yield "oldest change not in the replica", f"{oldest_s:.1f} s"
        yield "CPU meanwhile", percents
        yield "memory after it", _memory(made)

    def _write_for(self, seconds: float, made: Supervised) -> float:
        """Write at the rate; return how old the oldest change was that was not in the replica."""
        _say(f"writing for {seconds:.0f} s")
        writer = Writer(self.data, self.written)
        started, count, oldest_s = time.monotonic(), 0, 0.0
        while (at := time.monotonic() - started) < seconds:
            due = int(at * self.rate) - count
            if due:
                writer.write(due)
            count += due
            status = made.status()
            oldest_s = max(oldest_s, status.actors.oldest_unsynced_s if status else 0.0)
            time.sleep(STEP_S)
        writer.close()
        self.writes += writer.written
        return oldest_s

    def _outage(self, made: Supervised, bucket: SeaweedFs) -> Iterator[Row]:
        bucket.kill()
        made.until(lambda status: status.state == "unreachable")
        before, started = made.cpu_s(), time.monotonic()
        self._write_for(self.seconds, made)
        percents = _percents(before, made.cpu_s(), time.monotonic() - started)
        yield "outage with as many writes: CPU", percents
        yield "outage: memory", _memory(made)
        dirty = made.until(lambda _: True).actors.dirty
        bucket.start_again()
        started = time.monotonic()
        made.until(lambda status: status.state == "running" and not status.actors.dirty)
        yield "after it", f"{dirty:,} accounts caught up in {time.monotonic() - started:.0f} s"

    def _lag_of_files(self) -> str:
        """How long it took until files of the writes were in the replica, by their times there."""
        lags: list[float] = []
        by_did: dict[str, list[float]] = {}
        for did, at in self.writes:
            by_did.setdefault(did, []).append(at)
        missing = 0
        for did, times in by_did.items():
            directory = self.work / "replica" / names.actor_database(did) / "ltx" / "0"
            appeared = sorted(path.stat().st_ctime for path in directory.iterdir())
            for at in times:
                # Both clocks are the system's, but a file's time is that of its last tick.
                after = next((time for time in appeared if time >= at - 0.01), None)
                if after is None:
                    missing += 1
                else:
                    lags.append(after - at)
        lags.sort()
        p50, p99 = lags[len(lags) // 2], lags[len(lags) * 99 // 100]
        return f"{p50:.2f}, {p99:.2f}, {lags[-1]:.2f} s ({missing} missing)"


@click.command()
@click.option("--accounts", default=20_000, show_default=True)
@click.option("--written", default=5_000, show_default=True, help="Accounts that are written to.")
@click.option("--rate", default=200, show_default=True, help="Writes a second.")
@click.option("--hot-set", default=500, show_default=True)
@click.option("--seconds", default=60.0, show_default=True, help="How long each phase lasts.")
@click.option("--s3", is_flag=True, help="To a SeaweedFS instead of a directory.")
@click.option("--work", type=click.Path(path_type=Path), default=_WORK, help="Where files are put.")
@click.option("--keep", is_flag=True, help="Go on with the accounts and replica of the last run.")
def main(
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
    if not keep:
        shutil.rmtree(work, ignore_errors=True)
        for name in ("data/blobs", "replica", "weed"):
            (work / name).mkdir(parents=True)
        make_accounts(work / "data", accounts, posts=_POSTS)
        _say(f"made {accounts:,} accounts")
    with _place(work, s3=s3) as (url, bucket):
        run = _Run(work, url, bucket, accounts, min(written, accounts), rate, hot_set, seconds)
        try:
            rows = list(run.rows())
        except SupervisorFailed as exc:
            raise click.ClickException(f"{exc} ({work / 'log'})") from exc
    date = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    print(f"\n{date} · {machine.describe()} · {accounts:,} accounts · {'S3' if s3 else 'file'}\n")
    width = max(len(name) for name, _ in rows)
    print(f"| {'figure':{width}} | value |\n| {'-' * width} | ----- |")
    for name, value in rows:
        print(f"| {name:{width}} | {value} |")


@contextmanager
def _place(work: Path, *, s3: bool) -> Iterator[tuple[str, SeaweedFs | None]]:
    if not s3:
        yield f"file://{work / 'replica'}", None
        return
    server = SeaweedFs.start(work / "weed")
    try:
        bucket = asyncio.run(server.create_bucket("replica")).bucket
        os.environ["AWS_ACCESS_KEY_ID"] = server.access_key_id
        os.environ["AWS_SECRET_ACCESS_KEY"] = server.secret_access_key
        query = f"endpoint={server.url}&region=us-east-1&force-path-style=true"
        yield f"s3://{bucket}/pds?{query}", server
    finally:
        server.kill()


def _percents(before: tuple[float, float], after: tuple[float, float], seconds: float) -> str:
    own, daemons = (100 * (two - one) / seconds for one, two in zip(before, after, strict=True))
    return f"{own + daemons:.1f} % of a core (supervisor {own:.1f}, daemons {daemons:.1f})"


def _memory(made: Supervised) -> str:
    now, peak = made.memory_mib()
    return f"{now:.0f} MiB, peak {peak:.0f}"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
