"""The benchmark's report: verdicts, gaps, and its place in the README."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import load
from benchmarks.archive import CarFigures
from benchmarks.hold import HoldFigures
from benchmarks.load import LoadFailed, Result, parse_result
from benchmarks.measure import Measured
from benchmarks.memory import Memory
from benchmarks.report import BEGIN, END, Run, tables, write_readme
from benchmarks.s3 import S3Figures
from benchmarks.scenarios import SCENARIOS
from benchmarks.servers import Server


def measured(version: str, speed: float, memory_mib: float) -> Measured:
    results = {
        scenario.name: Result(speed, speed / 10, p50_ms=1000 / speed, p99_ms=9000 / speed)
        for scenario in SCENARIOS
    }
    memory = Memory(memory_mib, memory_mib * 1.5)
    return Measured(
        version,
        {"small": 1_000, "reads": 10_000, "large": 100_000},
        results,
        write_rates={"reads": speed},
        memory_started=memory,
        memory_after=memory,
    )


def run(holdfast: Measured | None, reference: Measured | None) -> Run:
    return Run("2026-01-01 00:00 UTC", "a machine", 10, 100_000, holdfast, reference)


def row(report: str, title: str) -> list[str]:
    line = next(line for line in report.splitlines() if title in line)
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_faster_and_smaller_server_meets_its_targets() -> None:
    report = tables(run(measured("ours", 9000, 100), measured("theirs", 1000, 400)), SCENARIOS)
    assert "- ours\n- theirs" in report
    assert row(report, "repo.getRecord")[1:] == [
        *("requests/s", "9,000", "0.11", "1.00", "1,000", "1.00", "9.00"),
        *("9.00×", "≥ 8×", "met"),
    ]
    assert row(report, "sync.getRepo")[1:3] == ["MB/s", "900"]
    assert row(report, "after the run")[1:] == ["100", "400", "0.25×", "≤ 0.33×", "met"]
    assert row(report, "with 100,000 records ÷")[1:] == ["1.00", "1.00", "–", "≥ 0.67×", "met"]


def test_work_on_car_files_is_judged_by_how_long_it_takes() -> None:
    ours, theirs = measured("ours", 9000, 100), measured("theirs", 1000, 400)
    ours.cars = CarFigures(
        [2.0, 9.0, 1.0],
        load_s=[2.4, 2.5, 2.6],
        load_mib=[150, 160, 140],
        inspect_s=[3.1],
        reads_s=[8100],
    )
    theirs.cars = CarFigures([25.0, 23.0, 24.0])
    report = tables(run(ours, theirs), SCENARIOS)
    assert row(report, "importRepo of a CAR of 100,000")[1:] == [
        *("2.0", "24.0", "12.00×", "≥ 10×", "met"),
    ]
    assert row(report, "load it read-only")[1:] == ["2.5", "24.0", "9.60×", "≥ 10×", "missed"]
    assert row(report, "inspect")[1:] == ["3.1", "–", "–", "≤ 3 s", "missed"]
    assert row(report, "getRecord/s read-only")[1:] == ["8,100", "–", "0.90×", "≥ 0.95×", "missed"]
    # Only what was measured is told.
    assert "CAR" not in tables(run(measured("ours", 1, 1), None), SCENARIOS)


def test_a_hold_is_judged_by_figures_of_its_own() -> None:
    ours = measured("ours", 9000, 100)
    speed = Result(3_500, 1, p50_ms=1, p99_ms=2)
    slower = Result(3_000, 1, p50_ms=1, p99_ms=2)
    ours.hold = HoldFigures((10, 10_000), {10: speed, 10_000: slower}, speed, commits_s=1.5)
    report = tables(run(ours, None), SCENARIOS)
    assert row(report, "a crew of 10 ")[1:] == ["3,500", "–", "–", "≥ 3,000", "met"]
    assert row(report, "a crew of 10,000")[1:] == ["3,000", "–", "0.86×", "≥ 0.9×", "missed"]
    assert row(report, "counted pulls")[1:] == ["3,500", "–", "–", "≥ 2,000", "met"]
    assert row(report, "commits/s for")[1:] == ["1.5", "–", "–", "≤ 1", "missed"]
    assert "counted pulls" not in tables(run(measured("ours", 1, 1), None), SCENARIOS)


def test_slower_and_larger_server_misses_its_targets() -> None:
    report = tables(run(measured("ours", 1000, 400), measured("theirs", 1000, 100)), SCENARIOS)
    assert row(report, "repo.getRecord")[-3:] == ["1.00×", "≥ 8×", "missed"]
    assert row(report, "after the run")[-3:] == ["4.00×", "≤ 0.33×", "missed"]


def test_server_that_was_not_measured_leaves_gaps() -> None:
    report = tables(run(measured("ours", 1000, 100), None), SCENARIOS)
    assert row(report, "repo.getRecord")[-6:] == ["–", "–", "–", "–", "≥ 8×", "–"]


def test_failed_load_is_named_with_its_reason() -> None:
    ours = measured("ours", 1000, 100)
    del ours.results["getRecord"]
    ours.failures["getRecord"] = "9 of 10 requests were refused"
    report = tables(run(ours, None), SCENARIOS)
    assert "- Holdfast: getRecord failed: 9 of 10 requests were refused" in report
    assert row(report, "repo.getRecord")[2] == "–"


def test_report_replaces_the_last_one_in_the_readme(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    write_readme("new", readme)
    write_readme("newest", readme)
    assert readme.read_text() == f"before\n{BEGIN}\n\nnewest\n\n{END}\nafter\n"


def test_result_of_wrk_is_read() -> None:
    output = (
        'Running 1s test\nRESULT {"requests":500,"bytes":2000000,"duration_us":2000000,'
        '"p50_us":1500,"p99_us":9000,"refused":0,"broken":0}\n'
    )
    assert parse_result(output) == Result(
        requests_s=250, mb_s=1, p50_ms=1.5, p99_ms=9, requests=500
    )


@pytest.mark.parametrize(
    ("counts", "reason"),
    [
        ('"requests":10,"refused":3,"broken":0', "3 of 10 requests were refused"),
        ('"requests":10,"refused":0,"broken":2', "2 got no answer"),
        ('"requests":0,"refused":0,"broken":0', "no request was answered"),
    ],
)
def test_load_with_errors_is_no_result(counts: str, reason: str) -> None:
    with pytest.raises(LoadFailed, match=reason):
        parse_result(f"RESULT {{{counts}}}")


def test_load_without_result_tells_what_wrk_said() -> None:
    with pytest.raises(LoadFailed, match="unable to connect"):
        parse_result("unable to connect to 127.0.0.1:1 Connection refused\n")


def test_s3_is_judged_beside_aiobotocore() -> None:
    ours = measured("ours", 9000, 100)
    ours.s3 = S3Figures([2.0, 2.2, 9.0], [0.2], [2.0], [0.1])
    report = tables(run(ours, None), SCENARIOS)
    assert row(report, "MiB/s to S3")[1:] == ["29.1", "–", "0.91×", "≥ 0.8×", "met"]
    assert row(report, "MiB/s from S3")[1:] == ["320", "–", "0.50×", "≥ 0.8×", "missed"]


@pytest.mark.parametrize(("answered", "is_measured"), [(80, True), (95, False), (100, False)])
def test_a_load_that_runs_out_of_requests_measures_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answered: int, is_measured: bool
) -> None:
    requests = tmp_path / "requests"
    requests.write_text("GET\t/\t\t\t\t\n" * 100)
    result = Result(answered / 2, 1.0, 1.0, 2.0, requests=answered)
    monkeypatch.setattr(load, "_run", lambda *_, **__: result)
    server = Server("holdfast", "1", "http://127.0.0.1:1", "", 1)
    if is_measured:
        assert load.replay(server, str(requests), connections=8, seconds=2) is result
        return
    with pytest.raises(LoadFailed, match="all 100 requests"):
        load.replay(server, str(requests), connections=8, seconds=2)
