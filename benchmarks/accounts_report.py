"""The table and the plots of runs with many accounts, for docs/scaling.md."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from benchmarks.plot import plot
from benchmarks.scale import COLD, START, WARM, AccountFigures

SCALING: Final = Path(__file__).parents[1] / "docs" / "scaling.md"
PLOTS: Final = SCALING.with_name("plots")

START_TARGET_S: Final = 2.0
"""From the start of the process to the first answer, however many accounts there are."""
COLD_TARGET_MS: Final = 1.0
"""What the first read of an account may take beyond another, at the 99th percentile."""
STORE_TARGET_KIB: Final = 60
"""Memory of an open store."""
MEMORY_TARGET_MIB: Final = 900
"""Memory of a server with 10,000 open stores."""
REQUEST_TARGET: Final = 1.25
"""CPU of a request with the most accounts to that with the fewest: equal, but for noise."""
WORK_TARGET: Final = 1.25
"""CPU of work on all accounts, for each account: the same, but for noise."""

_NONE: Final = "–"
Row: TypeAlias = tuple[str, ...]


def rows(runs: Sequence[AccountFigures]) -> Iterator[Row]:
    """Yield a table with a column for each number of accounts, which ascend."""
    first, last = runs[0], runs[-1]
    yield ("accounts", *(f"{run.accounts:,}" for run in runs), "last to first", "target", "verdict")
    yield _row("s to make them", [f"{run.made_s:,.0f}" for run in runs])
    yield _row("files; inodes", [f"{run.files:,}; {run.inodes:,}" for run in runs])
    yield _row("MiB on disk", [f"{run.size_bytes / (1 << 20):,.0f}" for run in runs])
    for title in first.work:
        yield _work_row(title, [run for run in runs if title in run.work], len(runs))
    for title in last.asked:
        shown = [f"{run.asked[title].cpu_us:,.0f}; {run.asked[title].p50_ms:.1f}" for run in runs]
        growth = last.asked[title].cpu_us / first.asked[title].cpu_us
        judged = (f"{growth:.2f}×", f"≤ {REQUEST_TARGET:g}×", _is(growth <= REQUEST_TARGET))
        yield (f"µs CPU; ms: {title}", *shown, *judged)
    more_ms = [run.asked[COLD].p99_ms - run.asked[WARM].p99_ms for run in runs]
    title = "ms at p99 that the first read of an account takes longer"
    judged = (_NONE, f"≤ {COLD_TARGET_MS:g} ms", _is(more_ms[-1] <= COLD_TARGET_MS))
    yield (title, *(f"{each:.1f}" for each in more_ms), *judged)
    if any(run.stores for run in runs):
        yield from _memory_rows(runs)
    yield _row(
        "events deleted a second; p99, max ms of a step",
        [
            f"{gone.events / gone.seconds:,.0f}; {gone.step_p99_ms:.1f}, {gone.step_max_ms:.1f}"
            if (gone := run.retention) is not None
            else _NONE
            for run in runs
        ],
    )


def _memory_rows(runs: Sequence[AccountFigures]) -> Iterator[Row]:
    stores = [run.stores for run in runs]
    last = stores[-1]
    each = (_NONE, f"≤ {STORE_TARGET_KIB}", _is(last is None or last.kib_each <= STORE_TARGET_KIB))
    shown = [_NONE if one is None else f"{one.kib_each:.0f}" for one in stores]
    yield ("KiB resident of an open store, read once", *shown, *each)
    all_of = (_NONE, f"≤ {MEMORY_TARGET_MIB}", _is(last is None or last.mib <= MEMORY_TARGET_MIB))
    shown = [_NONE if one is None else f"{one.open:,}; {one.mib:,.0f}" for one in stores]
    yield ("open stores; MiB resident with them", *shown, *all_of)


def _work_row(title: str, runs: Sequence[AccountFigures], columns: int) -> Row:
    """Return the row of what was done with some numbers of accounts, the first among them."""
    first, last = runs[0], runs[-1]
    shown = [f"{run.work[title].seconds:.1f} ({run.work[title].cpu_s:.1f})" for run in runs]
    shown += [_NONE] * (columns - len(runs))
    growth = last.work[title].cpu_s / first.work[title].cpu_s
    if title == START:
        is_met = last.work[title].seconds <= START_TARGET_S
        judged = (f"{growth:.2f}×", f"≤ {START_TARGET_S:g} s", _is(is_met))
    else:
        limit = max(1.0, WORK_TARGET * last.accounts / first.accounts)
        judged = (f"{growth:.1f}×", f"≤ {limit:.0f}×", _is(growth <= limit))
    return (f"s: {title} (CPU)", *shown, *judged)


def plots(runs: Sequence[AccountFigures]) -> dict[str, str]:
    """Return the plots by the names of their files."""

    def lines(
        values: Callable[[AccountFigures], Mapping[str, float]],
    ) -> dict[str, list[tuple[float, float]]]:
        found: dict[str, list[tuple[float, float]]] = {}
        for run in runs:
            for title, value in values(run).items():
                found.setdefault(title, []).append((run.accounts, value))
        return found

    return {
        "accounts-work.svg": plot(
            "Seconds of CPU for what is done once",
            x="accounts",
            y="s",
            lines=lines(lambda run: {title: took.cpu_s for title, took in run.work.items()}),
        ),
        "accounts-requests.svg": plot(
            "Microseconds of CPU for a request",
            x="accounts",
            y="µs",
            lines=lines(lambda run: {title: each.cpu_us for title, each in run.asked.items()}),
        ),
    }


def write_plots(runs: Sequence[AccountFigures], directory: Path = PLOTS) -> None:
    """Write the plots for the document."""
    directory.mkdir(exist_ok=True)
    for name, text in plots(runs).items():
        (directory / name).write_text(text)


def _row(title: str, shown: Sequence[str]) -> Row:
    return (title, *shown, _NONE, _NONE, _NONE)


def _is(met: bool) -> str:
    return "met" if met else "missed"
