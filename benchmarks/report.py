"""The tables of a run: on the terminal, and in README.md between two markers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks import oauth
from benchmarks.archive import CarFigures
from benchmarks.load import Result
from benchmarks.measure import Measured
from benchmarks.s3 import BLOB_MIB
from benchmarks.scenarios import (
    COMMITS_TARGET,
    CREW_TARGET,
    GET_BLOB_TARGET,
    GET_RECORD,
    GROWTH_TARGET,
    IMPORT_TARGET,
    INSPECT_TARGET_S,
    MEMORY_TARGET,
    OAUTH_CREATE_TARGET,
    OAUTH_TARGET,
    PULLS_TARGET,
    READONLY_TARGET,
    S3_TARGET,
    SIZES,
    RepoName,
    Scenario,
)

README: Final = Path(__file__).with_name("README.md")
BEGIN: Final = "<!-- results: written by `make bench` -->"
END: Final = "<!-- end of results -->"

_NONE: Final = "–"
_FIGURES: Final = ("p50 ms", "p99 ms")
_JUDGED: Final = ("ratio", "target", "verdict")
_SPEED_HEADINGS: Final = ("load", "unit", "Holdfast", *_FIGURES, "reference", *_FIGURES, *_JUDGED)


@dataclass(slots=True, frozen=True)
class Run:
    """What was measured, when and on what. Either server may be missing."""

    date: str
    machine: str
    seconds: float
    """How long each load lasted, after its warm-up."""
    car_records: int
    """Of the CAR that was imported and loaded."""
    holdfast: Measured | None
    reference: Measured | None


def tables(run: Run, scenarios: Sequence[Scenario]) -> str:
    """The whole report as Markdown that also reads well on a terminal."""
    return "\n".join(
        [
            f"{run.date} · {run.machine} · {run.seconds:g} s a load",
            "",
            *(f"- {m.version}" for m in (run.holdfast, run.reference) if m is not None),
            "",
            *aligned(_speed_rows(run, scenarios)),
            "",
            *aligned(_other_rows(run)),
            *_failures(run),
        ]
    )


def write_readme(report: str, readme: Path = README, *, begin: str = BEGIN) -> None:
    """Put a report between two markers of the README, in place of the last one."""
    text = readme.read_text()
    head, _, rest = text.partition(begin)
    _, _, tail = rest.partition(END)
    readme.write_text(f"{head}{begin}\n\n{report}\n\n{END}{tail}")


def _speed_rows(run: Run, scenarios: Sequence[Scenario]) -> Iterator[tuple[str, ...]]:
    yield _SPEED_HEADINGS
    for scenario in scenarios:
        ours, theirs = (_result(m, scenario) for m in (run.holdfast, run.reference))
        ratio = _speed(ours, scenario) / _speed(theirs, scenario) if ours and theirs else None
        yield (
            _title(scenario, run),
            scenario.unit,
            *_figures(ours, scenario),
            *_figures(theirs, scenario),
            *_judged(ratio, scenario.target, at_least=True),
        )


def _other_rows(run: Run) -> Iterator[tuple[str, ...]]:
    yield ("figure", "Holdfast", "reference", *_JUDGED)
    yield from _growth_rows(run)
    for size in SIZES:
        rates = [m.write_rates.get(size) if m else None for m in (run.holdfast, run.reference)]
        if any(rates):
            title = f"records/s while filling {_size(size, run):,}, 200 a commit"
            yield (title, *map(_number, rates), *_judged(_ratio(*rates), None, at_least=True))
    for title, figures, target in _memory(run):
        yield (title, *map(_number, figures), *_judged(_ratio(*figures), target, at_least=False))
    yield from _car_rows(run)
    yield from _oauth_rows(run)
    yield from _hold_rows(run)
    yield from _s3_rows(run)


def _growth_rows(run: Run) -> Iterator[tuple[str, ...]]:
    ours, theirs = (_growth(m) for m in (run.holdfast, run.reference))
    if ours is None and theirs is None:
        return
    title = f"createRecord/s with {_size('large', run):,} records ÷ with {_size('small', run):,}"
    shown = [_NONE if value is None else f"{value:.2f}" for value in (ours, theirs)]
    judged = _judged(ours, GROWTH_TARGET, at_least=True)
    yield (title, *shown, _NONE, *judged[1:])


def _growth(measured: Measured | None) -> float | None:
    if measured is None:
        return None
    small, large = (measured.results.get(f"createRecord-{size}") for size in ("small", "large"))
    return large.requests_s / small.requests_s if small and large else None


def _memory(run: Run) -> Iterator[tuple[str, list[float | None], float | None]]:
    both = (run.holdfast, run.reference)
    started = [m.memory_started if m else None for m in both]
    after = [m.memory_after if m else None for m in both]
    yield "MiB resident after start", [m.now if m else None for m in started], None
    yield "MiB resident after the run", [m.now if m else None for m in after], MEMORY_TARGET
    yield "MiB resident at most", [m.peak if m else None for m in after], None


def _car_rows(run: Run) -> Iterator[tuple[str, ...]]:
    ours, theirs = (m.cars if m else CarFigures() for m in (run.holdfast, run.reference))
    reference_s = _median(theirs.import_s)
    if ours.import_s or theirs.import_s:
        title = f"s for importRepo of a CAR of {run.car_records:,} records"
        yield _faster(title, _median(ours.import_s), reference_s)
    if not ours.load_s:
        return
    title = "s to load it read-only, all verified; reference: importRepo"
    yield _faster(title, _median(ours.load_s), reference_s)
    yield ("MiB resident at most meanwhile", _number(max(ours.load_mib)), *[_NONE] * 4)
    yield _in_time("s for `pds car inspect` of it", _median(ours.inspect_s), INSPECT_TARGET_S)
    served = _median(ours.reads_s)
    ratio = _ratio(served, _requests_s(_result(run.holdfast, GET_RECORD)))
    judged = _judged(ratio, READONLY_TARGET, at_least=True)
    yield ("repo.getRecord/s read-only; ratio: to the full server", _number(served), _NONE, *judged)


def _oauth_rows(run: Run) -> Iterator[tuple[str, ...]]:
    ours, theirs = (m.oauth if m else {} for m in (run.holdfast, run.reference))
    for name in oauth.LOADS if ours or theirs else ():
        both = [_requests_s(results.get(name)) for results in (ours, theirs)]
        target = OAUTH_TARGET if name in (oauth.REFRESH, oauth.PUSH, oauth.GET_SESSION) else None
        yield (f"{name}/s", *map(_number, both), *_judged(_ratio(*both), target, at_least=True))
    if ours:
        bound, plain = (
            _requests_s(ours.get(name)) for name in (oauth.CREATE, oauth.CREATE_BY_SESSION)
        )
        ratio = _ratio(bound, plain)
        title = "oauth: createRecord/s with DPoP ÷ with a session"
        shown = _NONE if ratio is None else f"{ratio:.2f}"
        yield (title, shown, _NONE, _NONE, *_judged(ratio, OAUTH_CREATE_TARGET, at_least=True)[1:])


def _hold_rows(run: Run) -> Iterator[tuple[str, ...]]:
    figures = None if run.holdfast is None else run.holdfast.hold
    if figures is None:
        return
    small, large = (_requests_s(figures.get_blob.get(size)) for size in figures.crew)
    titles = [f"hold: presigned getBlob/s, a crew of {size:,}" for size in figures.crew]
    yield _absolute(titles[0], small, GET_BLOB_TARGET, at_least=True)
    judged = _judged(_ratio(large, small), CREW_TARGET, at_least=True)
    yield (f"{titles[1]}; ratio: to {figures.crew[0]}", _number(large), _NONE, *judged)
    pulls = _requests_s(figures.pulls)
    yield _absolute("hold: counted pulls/s", pulls, PULLS_TARGET, at_least=True)
    title = "hold: commits/s for these pulls"
    yield _absolute(title, figures.commits_s, COMMITS_TARGET, at_least=False)


def _s3_rows(run: Run) -> Iterator[tuple[str, ...]]:
    figures = None if run.holdfast is None else run.holdfast.s3
    if figures is None:
        return
    ways = (
        ("to", figures.store_up_s, figures.alone_up_s),
        ("from", figures.store_down_s, figures.alone_down_s),
    )
    for way, ours_s, alone_s in ways:
        speeds = [BLOB_MIB / median(seconds) for seconds in (ours_s, alone_s)]
        judged = _judged(_ratio(*speeds), S3_TARGET, at_least=True)
        title = f"MiB/s {way} S3, a blob of {BLOB_MIB} MiB; ratio: to aiobotocore alone"
        yield (title, _number(speeds[0]), _NONE, *judged)


def _absolute(
    title: str, figure: float | None, target: float, *, at_least: bool
) -> tuple[str, ...]:
    """A row of a figure that has a target of its own."""
    goal = f"{'≥' if at_least else '≤'} {target:,g}"
    if figure is None:
        return (title, _NONE, _NONE, _NONE, goal, _NONE)
    met = figure >= target if at_least else figure <= target
    return (title, _number(figure), _NONE, _NONE, goal, "met" if met else "missed")


def _median(figures: Sequence[float]) -> float | None:
    return median(figures) if figures else None


def _faster(title: str, ours_s: float | None, theirs_s: float | None) -> tuple[str, ...]:
    """A row of two times; the ratio is how many times faster ours is."""
    judged = _judged(_ratio(theirs_s, ours_s), IMPORT_TARGET, at_least=True)
    return (title, _number(ours_s), _number(theirs_s), *judged)


def _in_time(title: str, ours_s: float | None, most_s: float) -> tuple[str, ...]:
    """A row of a time that has a limit of its own."""
    verdict = _NONE if ours_s is None else "met" if ours_s <= most_s else "missed"
    return (title, _number(ours_s), _NONE, _NONE, f"≤ {most_s:g} s", verdict)


def _failures(run: Run) -> list[str]:
    lines = [
        f"- {name}: {scenario} failed: {reason}"
        for name, m in (("Holdfast", run.holdfast), ("reference", run.reference))
        if m is not None
        for scenario, reason in m.failures.items()
    ]
    return ["", *lines] if lines else []


def _judged(ratio: float | None, target: float | None, *, at_least: bool) -> tuple[str, str, str]:
    """Ratio, target and verdict, as far as there are any."""
    goal = _NONE if target is None else f"{'≥' if at_least else '≤'} {target:.2g}×"
    if ratio is None:
        return _NONE, goal, _NONE
    if target is None:
        return f"{ratio:.2f}×", goal, _NONE
    met = ratio >= target if at_least else ratio <= target
    return f"{ratio:.2f}×", goal, "met" if met else "missed"


def _figures(result: Result | None, scenario: Scenario) -> tuple[str, str, str]:
    if result is None:
        return _NONE, _NONE, _NONE
    return _number(_speed(result, scenario)), f"{result.p50_ms:.2f}", f"{result.p99_ms:.2f}"


def _speed(result: Result, scenario: Scenario) -> float:
    return result.mb_s if scenario.unit == "MB/s" else result.requests_s


def _requests_s(result: Result | None) -> float | None:
    return result.requests_s if result is not None else None


def _result(measured: Measured | None, scenario: Scenario) -> Result | None:
    return measured.results.get(scenario.name) if measured is not None else None


def _title(scenario: Scenario, run: Run) -> str:
    return f"{scenario.title}, of {_size(scenario.repo, run):,}"


def _size(name: RepoName, run: Run) -> int:
    sizes = [m.sizes for m in (run.holdfast, run.reference) if m is not None]
    return next((size[name] for size in sizes if name in size), SIZES[name])


def _ratio(ours: float | None, theirs: float | None) -> float | None:
    return ours / theirs if ours is not None and theirs else None


def _number(value: float | None) -> str:
    if value is None:
        return _NONE
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def aligned(rows: Iterator[tuple[str, ...]]) -> list[str]:
    """Return a Markdown table whose columns line up; all but the first are flush right."""
    cells = list(rows)
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    rule = ["-" * widths[0], *(f"{'-' * (width - 1)}:" for width in widths[1:])]
    lines = [_line(cells[0], widths), f"| {' | '.join(rule)} |"]
    return lines + [_line(row, widths) for row in cells[1:]]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    padded = [row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]
    return f"| {' | '.join(padded)} |"
