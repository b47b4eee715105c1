"""`python -m benchmarks`: measure Holdfast beside the reference PDS."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import click

from benchmarks import accounts_report, firehose, load, machine, report, workers
from benchmarks.archive import Cars
from benchmarks.hold import measure_hold
from benchmarks.measure import ROUNDS, measure
from benchmarks.oauth import measure_oauth
from benchmarks.s3 import measure_s3
from benchmarks.scale import NUMBERS, QUICK_NUMBERS, measure_accounts
from benchmarks.scenarios import (
    ACCOUNTS,
    CAR_RECORDS,
    CARS,
    FIREHOSE,
    HOLD,
    HOLD_CREW,
    OAUTH,
    QUICK_CAR_RECORDS,
    QUICK_HOLD_CREW,
    QUICK_SIZES,
    S3,
    SCENARIOS,
    SIZES,
    WORKERS,
    RepoName,
    Scenario,
)
from benchmarks.seed import RequestFailed
from benchmarks.servers import WORK, Launch, ServerFailed, holdfast, reference
from tests.reference.install import InstallFailed, install_reference, reference_directory

_QUICK_SECONDS: Final = 2.0
_SECONDS: Final = 10.0
_S3_ROUNDS: Final = 7
_SERVERS: Final = ("holdfast", "reference")


@click.command()
@click.option("--quick", is_flag=True, help="Small repositories and short loads: does it work?")
@click.option(
    "--only",
    multiple=True,
    metavar="NAME",
    type=click.Choice(
        [
            *(scenario.name for scenario in SCENARIOS),
            *(ACCOUNTS, CARS, FIREHOSE, HOLD, OAUTH, S3, WORKERS),
        ]
    ),
    help="Run this load only, or what is done with many accounts, CAR files, subscribers of the "
    "firehose, a hold, OAuth, S3, or several workers; may be repeated.",
)
@click.option("--server", type=click.Choice(_SERVERS), help="Measure one server only.")
@click.option(
    "--reference-dir",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Use the reference PDS installed here (node/, node_modules/) instead of installing it.",
)
@click.option("--seconds", type=click.FloatRange(1, 300), help="How long a load lasts [10].")
@click.option(
    "--reference-large", is_flag=True, help="Fill the reference's large repo, too (slow)."
)
@click.option("--write/--no-write", default=None, help="Update benchmarks/README.md [full runs].")
def main(
    *,
    quick: bool,
    only: tuple[str, ...],
    server: str | None,
    reference_dir: Path | None,
    seconds: float | None,
    reference_large: bool,
    write: bool | None,
) -> None:
    """Start the servers on loopback, fill them over HTTP, load them in turn with wrk, compare."""
    # The default action would leave a server behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))
    scenarios = [scenario for scenario in SCENARIOS if not only or scenario.name in only]
    duration = seconds or (_QUICK_SECONDS if quick else _SECONDS)
    is_written = write if write is not None else not (quick or only or server)
    if server != "reference" and (not only or ACCOUNTS in only):
        _measure_accounts(QUICK_NUMBERS if quick else NUMBERS, is_written=is_written)
    if server != "reference" and (not only or FIREHOSE in only):
        _measure_firehose(duration, is_written=is_written)
    if not only or WORKERS in only:
        beside = _launches("reference", reference_dir) if server != "holdfast" else {}
        _measure_workers(duration / ROUNDS, beside.get("reference"), is_written=is_written)
    if only and not {*only} - {ACCOUNTS, FIREHOSE, WORKERS}:
        return
    sizes = _sizes(scenarios, QUICK_SIZES if quick else SIZES)
    theirs = dict(sizes)
    if not reference_large:
        theirs.pop("large", None)
    try:
        load.require_wrk()
        cars = [] if only and CARS not in only else _cars(quick=quick)
        launches = _launches(server, reference_dir)
        all_sizes = {"reference": theirs, "holdfast": sizes}
        measured = measure(launches, scenarios, all_sizes, duration, cars)
        if not only or OAUTH in only:
            print("OAuth", flush=True)
            # The data of the others are gone.
            fresh = _launches(server, reference_dir)
            for name, results in measure_oauth(fresh, duration / ROUNDS, ROUNDS).items():
                measured[name].oauth = results
        if "holdfast" in launches and (not only or HOLD in only):
            print("holdfast: a hold", flush=True)
            crew = QUICK_HOLD_CREW if quick else HOLD_CREW
            measured["holdfast"].hold = measure_hold(duration / ROUNDS, crew)
        if "holdfast" in launches and (not only or S3 in only):
            print("holdfast: a blob to S3 and back", flush=True)
            measured["holdfast"].s3 = measure_s3(2 if quick else _S3_ROUNDS)
    except (load.LoadFailed, InstallFailed, RequestFailed, ServerFailed) as exc:
        raise click.ClickException(str(exc)) from exc
    text = report.tables(
        report.Run(
            date=_date(),
            machine=machine.describe(),
            seconds=duration,
            car_records=QUICK_CAR_RECORDS if quick else CAR_RECORDS,
            holdfast=measured.get("holdfast"),
            reference=measured.get("reference"),
        ),
        scenarios,
    )
    print(f"\n{text}")
    if is_written:
        report.write_readme(text)


def _measure_firehose(seconds: float, *, is_written: bool) -> None:
    print("holdfast: subscribers of the firehose", flush=True)
    found = firehose.rows(firehose.measure_firehose(seconds))
    _tell(found, firehose.MARKER, is_written=is_written)


def _measure_workers(seconds: float, reference: Launch | None, *, is_written: bool) -> None:
    print("holdfast: one worker and two", flush=True)
    try:
        load.require_wrk()
        found = workers.rows(workers.measure_workers(seconds, ROUNDS, reference))
    except (load.LoadFailed, ServerFailed) as exc:
        raise click.ClickException(str(exc)) from exc
    _tell(found, workers.MARKER, is_written=is_written)


def _tell(rows: Iterator[tuple[str, ...]], marker: str, *, is_written: bool) -> None:
    text = "\n".join([f"{_date()} · {machine.describe()}", "", *report.aligned(rows)])
    print(f"\n{text}")
    if is_written:
        report.write_readme(text, accounts_report.SCALING, begin=marker)


def _measure_accounts(numbers: Sequence[int], *, is_written: bool) -> None:
    print("holdfast: many accounts", flush=True)
    runs = measure_accounts(numbers)
    text = "\n".join(
        [f"{_date()} · {machine.describe()}", "", *report.aligned(accounts_report.rows(runs))]
    )
    print(f"\n{text}")
    if is_written:
        report.write_readme(text, accounts_report.SCALING)
        accounts_report.write_plots(runs)


def _date() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def _launches(only: str | None, reference_dir: Path | None) -> dict[str, Launch]:
    launches: dict[str, Launch] = {}
    if only != "holdfast":
        launches["reference"] = _reference(reference_dir)
    if only != "reference":
        launches["holdfast"] = holdfast()
    return launches


def _reference(directory: Path | None) -> Launch:
    if directory is None:
        directory = reference_directory()
        install_reference(directory)
    return reference(directory)


def _cars(*, quick: bool) -> list[Cars]:
    records, sizes = (QUICK_CAR_RECORDS, QUICK_SIZES) if quick else (CAR_RECORDS, SIZES)
    return [
        Cars.write(WORK, f"bench-mover{number}", loaded=records, served=sizes["reads"])
        for number in range(ROUNDS)
    ]


def _sizes(scenarios: list[Scenario], sizes: dict[RepoName, int]) -> dict[RepoName, int]:
    """Only the repositories that some load needs."""
    wanted = {scenario.repo for scenario in scenarios}
    return {name: size for name, size in sizes.items() if name in wanted}


if __name__ == "__main__":
    main()
