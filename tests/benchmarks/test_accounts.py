"""Runs with many accounts: the accounts are real, verdicts are fair, plots can be drawn."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

from benchmarks.accounts_report import plots, rows
from benchmarks.many_accounts import handle_of, make_accounts, measure_footprint
from benchmarks.scale import COLD, START, WARM, AccountFigures, Answers, Took
from pds.doctor.examination import Options, examine


def run(accounts: int, *, cpu_us: float, start_s: float, work_s: float) -> AccountFigures:
    return AccountFigures(
        accounts,
        work={START: Took(start_s, start_s), "doctor": Took(work_s, work_s)},
        asked={COLD: Answers(1.0, 3.0, cpu_us), WARM: Answers(0.5, 1.5, cpu_us)},
    )


def verdicts(*runs: AccountFigures) -> dict[str, str]:
    return {row[0]: row[-1] for row in rows(runs)}


def test_what_is_asked_must_not_grow_and_what_is_done_with_all_not_faster_than_they() -> None:
    few = run(1_000, cpu_us=200, start_s=1, work_s=2)
    found = verdicts(few, run(10_000, cpu_us=240, start_s=1.9, work_s=24))
    assert found[f"µs CPU; ms: {COLD}"] == "met"
    assert found[f"s: {START} (CPU)"] == "met"
    assert found["s: doctor (CPU)"] == "met"
    found = verdicts(few, run(10_000, cpu_us=260, start_s=2.1, work_s=26))
    assert found[f"µs CPU; ms: {COLD}"] == "missed"
    assert found[f"s: {START} (CPU)"] == "missed"
    assert found["s: doctor (CPU)"] == "missed"


def test_the_plots_are_documents_with_a_line_for_each_title() -> None:
    runs = [run(n, cpu_us=200, start_s=1, work_s=n / 100) for n in (1_000, 10_000, 100_000)]
    for text in plots(runs).values():
        lines = ET.fromstring(text).findall(".//{http://www.w3.org/2000/svg}polyline")  # noqa: S314 (ours)
        assert len(lines) == 2


def test_accounts_that_are_made_are_sound(tmp_path: Path) -> None:
    make_accounts(tmp_path, 20, processes=1)
    environ = {
        "PDS_HOSTNAME": "localhost",
        "PDS_PORT": "0",
        "PDS_DEV_MODE": "true",
        "PDS_DATA_DIRECTORY": str(tmp_path),
        "PDS_BLOBSTORE_DISK_LOCATION": str(tmp_path / "blobs"),
        "PDS_JWT_SECRET": "jwt-secret-of-a-benchmark",
        "PDS_ADMIN_PASSWORD": "admin-pass-of-a-benchmark",
        "PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX": "11" * 32,
    }
    report = examine(environ, Options(offline=True, processes=1))
    assert [finding for finding in report.findings if finding.status == "error"] == []
    assert any("agree on 20 accounts" in finding.message for finding in report.findings)
    assert handle_of(7) == "user0000007.test"
    assert measure_footprint(tmp_path / "actors").files == 40
