"""What `pds` says when it cannot start: one message with what to do, status 1, no traceback."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from database.opening import open_database
from pds.config.env_file import read_env_file
from tests.pds.cli.conftest import OperatedServer
from tests.processes import clean_environment, free_port, run_pds

_NOBODY = 65534
# Python's own files may be out of the other user's reach, so they are read before.
_AS_NOBODY = f"""
import encodings.utf_8_sig, os, uvloop, identity.plc
import pds.cli.operator, pds.cli.serve, pds.server.run
from pds.cli import main
os.setgroups([])
os.setresgid({_NOBODY}, {_NOBODY}, {_NOBODY})
os.setresuid({_NOBODY}, {_NOBODY}, {_NOBODY})
main()
"""


def test_all_missing_settings_are_told_in_one_message() -> None:
    done = run_pds("serve", env={"PDS_DID_PLC_URL": "nowhere"})
    assert done.returncode == 1
    assert done.stdout == ""
    first, *problems, remedy = done.stderr.splitlines()
    assert remedy.startswith("Try: --env-file FILE, or PDS_ENV_FILE=FILE; ")
    assert first == "Error: The settings need attention:"
    for name in (
        "PDS_HOSTNAME",
        "PDS_JWT_SECRET",
        "PDS_ADMIN_PASSWORD",
        "PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX",
        "PDS_BLOBSTORE_DISK_LOCATION",
        "PDS_DID_PLC_URL",
    ):
        assert sum(name in problem for problem in problems) == 1, done.stderr
    assert all(problem.startswith("  - ") for problem in problems)


def test_a_command_that_makes_the_data_directory_warns(
    stopped: OperatedServer, tmp_path: Path
) -> None:
    env = {
        "PDS_DATA_DIRECTORY": str(tmp_path / "unmounted"),
        "PDS_BLOBSTORE_DISK_LOCATION": str(tmp_path / "blobs"),
    }
    done = run_pds("invite", "create", "--env-file", str(stopped.server.env_file), env=env)
    assert done.returncode == 0
    assert f"data directory {tmp_path / 'unmounted'} did not exist" in done.stderr


def test_settings_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "pds.env"
    path.write_bytes(b"PDS_PORT=\xff\xfe")
    done = run_pds("serve", "--env-file", str(path))
    assert done.returncode == 1
    assert f"{path} is not a text file" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_held_data_directory_names_the_pid_of_its_holder(running: OperatedServer) -> None:
    message = running.refuse("serve", PDS_PORT=str(free_port()))
    assert f"(pid {running.server.process.pid})" in message
    assert str(running.server.data) in message


def test_a_second_dev_server_leaves_the_settings_of_the_first(running: OperatedServer) -> None:
    before = running.server.env_file.read_bytes()
    ports = ["--port", str(free_port()), "--plc-port", str(free_port())]
    done = run_pds("dev", "--data", str(running.server.data), *ports)
    assert done.returncode == 1
    assert f"(pid {running.server.process.pid})" in done.stderr
    assert running.server.env_file.read_bytes() == before


def test_a_port_in_use_is_named(running: OperatedServer, tmp_path: Path) -> None:
    message = running.refuse("serve", PDS_DATA_DIRECTORY=str(tmp_path / "data"))
    assert f"Port {running.server.port} is in use." in message


def test_a_file_in_place_of_the_data_directory_is_refused(
    stopped: OperatedServer, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.touch()
    message = stopped.refuse("serve", PDS_DATA_DIRECTORY=str(path))
    assert f"The data directory {path} is not a directory" in message


def test_a_directory_that_settings_put_elsewhere_is_checked_at_start(
    stopped: OperatedServer, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.touch()
    message = stopped.refuse("invite", "create", PDS_BLOBSTORE_DISK_LOCATION=str(path))
    assert f"The blob directory {path} is not a directory" in message


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_missing_permission_is_told_with_the_user(stopped: OperatedServer) -> None:
    # pytest's own directories are closed to other users.
    with TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        _serve_as_nobody(stopped, Path(directory))


def _serve_as_nobody(stopped: OperatedServer, data: Path) -> None:
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", _AS_NOBODY, "serve"],
        env=clean_environment(
            {**read_env_file(stopped.server.env_file), "PDS_DATA_DIRECTORY": str(data)}
        ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert f"No permission to write in the data directory {data}." in done.stderr
    assert f"(uid {_NOBODY})" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make files for another user")
def test_root_makes_no_files_in_the_directory_of_another_user(
    stopped: OperatedServer, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    os.chown(data, _NOBODY, _NOBODY)
    message = stopped.refuse(
        "account", "create", "a@example.com", "alice.test", PDS_DATA_DIRECTORY=str(data)
    )
    assert "belong to nobody" in message
    assert {path.name: path.stat().st_uid for path in data.iterdir()} == {"holdfast.lock": _NOBODY}


@pytest.mark.parametrize("name", ["account.sqlite", "sequencer.sqlite"])
def test_a_file_that_is_no_database_is_named(
    stopped: OperatedServer, tmp_path: Path, name: str
) -> None:
    data = shutil.copytree(stopped.server.data, tmp_path / "data")
    (data / name).write_bytes(b"This is not a database, whatever its name says. " * 20)
    message = stopped.refuse("serve", PDS_DATA_DIRECTORY=str(data))
    assert f"{data / name}: file is not a database" in message
    assert "restore" in message


@pytest.mark.parametrize("command", [("serve",), ("invite", "create")])
def test_a_newer_service_database_is_refused_untouched(
    stopped: OperatedServer, tmp_path: Path, command: tuple[str, ...]
) -> None:
    data = shutil.copytree(stopped.server.data, tmp_path / "data")
    path = data / "account.sqlite"
    db = open_database(path)
    db.run("INSERT INTO kysely_migration VALUES ('999', '2030-01-01T00:00:00.000Z')")
    db.close()
    before = path.read_bytes()
    message = stopped.refuse(*command, PDS_DATA_DIRECTORY=str(data))
    assert f"{path}: unknown migrations 999" in message
    assert "newer" in message
    assert path.read_bytes() == before
