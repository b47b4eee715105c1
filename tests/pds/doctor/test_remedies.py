"""What `pds doctor` tells to type, typed: it finds nothing wrong afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pds.doctor.finding import Finding
from tests.pds.doctor.conftest import Patient
from tests.typed import Replica, type_commands


def service_database(patient: Patient) -> Path:
    """What holds all accounts."""
    return patient.account_db


def event_log(patient: Patient) -> Path:
    """What holds all events."""
    return patient.log


def store(patient: Patient) -> Path:
    """What holds an account's records."""
    return patient.store("alice")


def key(patient: Patient) -> Path:
    """What signs an account's commits."""
    return patient.key("alice")


def overwrite(path: Path) -> None:
    """Nothing of it can be read."""
    path.write_bytes(b"This is neither a database nor a key. " * 500)


def remove(path: Path) -> None:
    """It is gone."""
    path.unlink()


@pytest.mark.parametrize("file", [service_database, event_log, store, key])
@pytest.mark.parametrize("damage", [overwrite, remove])
def test_a_file_comes_back_by_the_remedy(
    patient: Patient,
    tmp_path: Path,
    file: Callable[[Patient], Path],
    damage: Callable[[Path], None],
) -> None:
    replica = Replica(patient.data, tmp_path / "replica")
    replica.send()
    backup = shutil.copytree(patient.data, tmp_path / "backup")
    damage(file(patient))
    (error,) = errors_of(patient)
    type_commands(error.remedy, **replica.environ, BACKUP=str(backup))
    assert errors_of(patient) == []


def test_the_key_of_another_account_is_replaced_by_the_remedy(
    patient: Patient, tmp_path: Path
) -> None:
    backup = shutil.copytree(patient.data, tmp_path / "backup")
    shutil.copy(patient.key("bob"), patient.key("alice"))
    (error,) = errors_of(patient)
    type_commands(error.remedy, BACKUP=str(backup))
    assert errors_of(patient) == []


def errors_of(patient: Patient) -> list[Finding]:
    return [problem for problem in patient.problems() if problem.status == "error"]
