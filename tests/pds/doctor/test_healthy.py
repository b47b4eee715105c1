"""A healthy directory: nothing is found, and nothing is changed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from pds.disk.data_directory import LOCK_FILE
from tests.pds.doctor.conftest import Patient, changed, crash_after
from tests.pds.other_programs import program


def test_the_data_of_the_reference_is_healthy(patient: Patient) -> None:
    report = patient.examine(blobs=True)
    assert report.problems == ()
    assert report.exit_status == 0
    (repositories,) = [each for each in report.findings if each.check == "repositories"]
    assert repositories.message == "6 of 6 sound: 636 records in 822 blocks, 2 blobs (bytes)"


def test_blobs_that_move_are_not_missed_on_the_disk(patient: Patient) -> None:
    patient.environ |= {"PDS_BLOBSTORE_S3_BUCKET": "blobs", "PDS_BLOBSTORE_MOVE_TO": "s3"}
    for path in (patient.data / "blobs").glob("did:*/*"):
        path.unlink()
    report = patient.examine(blobs=True)
    assert report.problems == ()
    (skipped,) = [each for each in report.findings if each.check == "blobs"]
    assert (skipped.status, skipped.message) == ("skipped", "being moved from or to S3")


def test_an_examination_changes_no_file(patient: Patient) -> None:
    before = patient.contents()
    patient.examine(blobs=True)
    assert patient.contents() == before


def test_an_examination_leaves_the_wal_of_a_crash_as_it_is(patient: Patient) -> None:
    for path in (patient.store("alice"), patient.log, patient.account_db):
        crash_after(path, "CREATE TABLE holdfast_test (a)")
    before = patient.contents()
    assert patient.only_problem().check == "last stop"
    assert patient.contents() == before


def test_a_wal_without_its_index_is_read_without_making_one(patient: Patient) -> None:
    store = patient.store("alice")
    crash_after(store, "DELETE FROM record WHERE collection = 'app.bsky.actor.profile'")
    store.with_name("store.sqlite-shm").unlink()
    before = patient.contents()
    # What only the WAL holds is seen.
    assert [each.check for each in patient.problems()] == ["record index", "last stop"]
    assert patient.contents() == before


def test_a_database_that_a_process_has_open_is_read_beside_it(patient: Patient) -> None:
    program = """
import sys
from pathlib import Path
from database.opening import open_database
db = open_database(Path(sys.argv[1]), wal_autocheckpoint=None)
db.run("DELETE FROM record WHERE collection = 'app.bsky.actor.profile'")
print("ready", flush=True)
sys.stdin.read()
"""
    store = patient.store("alice")
    writer = subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", program, str(store)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert writer.stdout is not None
    assert writer.stdout.readline() == b"ready\n"
    try:
        before = store.read_bytes()
        assert patient.only_problem().check == "record index"
        assert store.read_bytes() == before
    finally:
        writer.communicate(timeout=30)


def test_actors_are_checked_in_processes_of_their_own(patient: Patient) -> None:
    os.truncate(patient.store("bob"), 8192)
    serial, parallel = (patient.examine(processes=number) for number in (1, 2))
    assert parallel.problems == serial.problems
    assert [each.check for each in parallel.findings] == [each.check for each in serial.findings]


def test_a_running_server_is_named(patient: Patient) -> None:
    program = """
import sys
from pathlib import Path
from pds.disk.data_directory import DataDirectoryLock
lock = DataDirectoryLock.acquire(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.read()
"""
    holder = subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", program, str(patient.data)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"ready\n"
    try:
        report = patient.examine()
    finally:
        holder.communicate(timeout=30)
    messages = [each.message for each in report.findings if each.check == "server"]
    assert messages == [f"pid {holder.pid} is running"]
    messages = [each.message for each in patient.examine().findings if each.check == "server"]
    assert messages == ["none is running"]


def test_another_program_with_open_databases_is_noticed(patient: Patient) -> None:
    program = """
import sys, apsw
db = apsw.Connection(sys.argv[1])
db.execute("SELECT count(*) FROM actor").fetchall()
print("ready", flush=True)
sys.stdin.read()
"""
    reader = subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", program, str(patient.account_db)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert reader.stdout is not None
    assert reader.stdout.readline() == b"ready\n"
    try:
        report = patient.examine()
    finally:
        reader.communicate(timeout=30)
    assert report.problems == ()
    (server,) = [each for each in report.findings if each.check == "server"]
    assert server.message == "none is running, but a tool or Litestream has databases open"


def test_a_server_that_does_not_heed_the_lock_is_an_error(patient: Patient) -> None:
    with program(patient.data) as server:
        problem = patient.only_problem()
    assert (problem.check, problem.status) == ("server", "error")
    assert f"(pid {server.pid}) has the databases of {patient.data} open" in problem.message
    assert problem.remedy.startswith("Stop it first")


def test_no_lock_file_is_made(patient: Patient) -> None:
    patient.examine()
    assert not (patient.data / LOCK_FILE).exists()


def test_a_new_directory_has_nothing_wrong(patient: Patient, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    patient.environ["PDS_DATA_DIRECTORY"] = str(empty)
    assert patient.problems() == ()
    assert list(empty.iterdir()) == []


def test_a_directory_that_is_not_there_is_told(patient: Patient, tmp_path: Path) -> None:
    patient.environ["PDS_DATA_DIRECTORY"] = str(tmp_path / "unmounted")
    problem = patient.only_problem()
    assert (problem.status, problem.subject) == ("warning", str(tmp_path / "unmounted"))
    assert not (tmp_path / "unmounted").exists()


def test_several_damaged_actors_are_each_told(patient: Patient) -> None:
    for name in ("alice", "bob"):
        with changed(patient.store(name)) as db:
            db.run("DELETE FROM record WHERE collection = 'app.bsky.graph.follow'")
    subjects = {problem.subject for problem in patient.problems()}
    assert subjects == {str(patient.store("alice")), str(patient.store("bob"))}
