"""Who can read databases and secrets, as `pds doctor` tells it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pds.doctor.examination import Options, examine
from pds.doctor.permissions import check_databases, check_env_file
from tests.pds.doctor.conftest import Patient

# Python's own files may be out of the other user's reach, so they are read before.
_LOOK_AS_NOBODY = """
import os, sys
from pathlib import Path
from pds.doctor.last_stop import find_left_wals
from pds.doctor.permissions import check_databases
os.setresuid(65534, 65534, 65534)
directory, store = map(Path, sys.argv[1:])
assert not find_left_wals([store])
print(*(finding.status for finding in check_databases(directory, [store])))
"""


def make_files(directory: Path, *names: str, mode: int) -> list[Path]:
    files = [directory / name for name in names]
    for file in files:
        file.touch()
        file.chmod(mode)
    return files


def test_databases_that_others_can_read_are_one_warning_whose_remedy_works(
    open_directory: Path,
) -> None:
    files = make_files(open_directory, "a.sqlite", "b.sqlite", mode=0o644)
    (warning,) = check_databases(open_directory, [*files, open_directory / "absent.sqlite"])
    assert (warning.check, warning.status) == ("permissions", "warning")
    assert "any user of this machine can read 2 databases: a.sqlite, b.sqlite" in warning.message
    subprocess.run(warning.remedy.partition(": ")[2].split(), check=True)  # noqa: S603
    (found,) = check_databases(open_directory, files)
    assert found.status == "ok"


def test_a_database_elsewhere_is_a_warning_of_its_own(open_directory: Path) -> None:
    (file,) = make_files(open_directory, "a.sqlite", mode=0o644)
    warning, rest = check_databases(open_directory / "data", [file])
    assert (warning.status, warning.subject) == ("warning", str(file))
    assert warning.remedy.endswith(f"chmod o-rwx {file}")
    assert rest.status == "ok"


def test_a_group_that_can_read_is_told_and_no_fault(open_directory: Path) -> None:
    files = make_files(open_directory, "a.sqlite", mode=0o640)
    (found,) = check_databases(open_directory, files)
    assert found.status == "ok"
    assert f"the group {files[0].group()} can read" in found.message
    files[0].chmod(0o600)
    (found,) = check_databases(open_directory, files)
    assert "by their user alone" in found.message


@pytest.mark.parametrize(
    ("mode", "status", "message"),
    [
        (0o644, "warning", "the secrets of the server"),
        (0o640, "ok", "the group"),
        (0o600, "ok", "by its user alone"),
    ],
)
def test_an_environment_file_that_others_can_read_is_a_warning(
    open_directory: Path, mode: int, status: str, message: str
) -> None:
    (file,) = make_files(open_directory, "pds.env", mode=mode)
    found = check_env_file(file)
    assert found.status == status
    assert message in found.message
    assert not found.remedy or found.remedy.endswith(f"chmod o-rwx {file}")


def test_an_examination_looks_at_databases_and_environment_file(patient: Patient) -> None:
    env_file = patient.data / "pds.env"
    env_file.touch(0o600)
    report = examine(patient.environ, Options(offline=True, env_file=env_file))
    subjects = [each.subject for each in report.findings if each.check == "permissions"]
    assert subjects == [str(env_file), str(patient.data)]


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_a_directory_that_this_user_may_not_enter_does_not_end_the_examination(
    open_directory: Path,
) -> None:
    closed = open_directory / "closed"
    closed.mkdir(mode=0o700)
    (store, _) = make_files(closed, "store.sqlite", "store.sqlite-wal", mode=0o600)
    done = subprocess.run(  # noqa: S603 (our own script)
        [sys.executable, "-c", _LOOK_AS_NOBODY, str(open_directory), str(store)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "ok\n"), done.stderr
