"""What keeps a server from starting, and is found without one: files, directories, ports."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import pytest

from pds.disk.data_directory import LOCK_FILE
from tests.pds.doctor.conftest import Patient


def close(monkeypatch: pytest.MonkeyPatch, closed: Path) -> None:
    """Let nobody write to `closed`: root may everywhere, so the system's answer is replaced."""
    real = os.access

    def access(path: str | Path, mode: int) -> bool:
        return not (Path(path) == closed and mode & os.W_OK) and real(path, mode)

    monkeypatch.setattr(os, "access", access)


@pytest.mark.parametrize("name", ["", "actors", "blobs", "blobs/tempt"])
def test_a_directory_that_the_server_could_not_write_to_is_an_error(
    patient: Patient, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    close(monkeypatch, patient.data / name)
    problem = patient.only_problem()
    assert (problem.check, problem.status) == ("access", "error")
    assert problem.subject == str(patient.data / name)
    assert problem.message.startswith("No permission to write")
    assert f"uid {os.getuid()}" in problem.remedy


def test_a_directory_that_could_not_be_made_is_an_error(
    patient: Patient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    patient.environ["PDS_BLOBSTORE_DISK_TMP_LOCATION"] = str(tmp_path / "closed" / "uploads")
    (tmp_path / "closed").mkdir()
    close(monkeypatch, tmp_path / "closed")
    assert patient.only_problem().subject == str(tmp_path / "closed" / "uploads")


@pytest.mark.parametrize("name", ["account.sqlite", "account.sqlite-wal", LOCK_FILE])
def test_a_file_that_the_server_could_not_write_to_is_an_error(
    patient: Patient, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    (patient.data / name).touch()
    close(monkeypatch, patient.data / name)
    problem = patient.only_problem()
    assert (problem.subject, problem.status) == (str(patient.data / name), "error")
    assert "`chown " in problem.remedy


def test_a_blob_directory_that_is_not_there_is_a_warning(patient: Patient) -> None:
    shutil.rmtree(patient.data / "blobs")
    (problem,) = [each for each in patient.problems() if each.check == "access"]
    assert (problem.subject, problem.status) == (str(patient.data / "blobs"), "warning")
    assert "PDS_BLOBSTORE_DISK_LOCATION" in problem.remedy


def test_what_is_below_a_closed_directory_is_not_told_again(
    patient: Patient, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK and real(path, mode))
    assert patient.only_problem().subject == str(patient.data)


@pytest.mark.parametrize("setting", ["PDS_PORT", "PDS_METRICS_PORT"])
def test_a_port_that_is_taken_is_an_error(patient: Patient, setting: str) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        patient.environ[setting] = str(other.getsockname()[1])
        problem = patient.only_problem()
    assert (problem.check, problem.subject, problem.status) == ("port", setting, "error")
