"""Where commands find their settings, what they say of it, and what they leave alone."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pds.cli import main
from pds.config.env_file import find_env_file, read_env_file
from tests.pds.cli.conftest import OperatedServer
from tests.pds.cli.test_help import every_command, help_of
from tests.processes import run_pds

NOT_NAMED = {"PDS_ENV_FILE": ""}
"""As on a machine where nobody has set it."""


@pytest.fixture
def directory(stopped: OperatedServer, tmp_path: Path) -> Path:
    """A working directory with the settings of the stopped server."""
    shutil.copy(stopped.server.env_file, tmp_path / "pds.env")
    return tmp_path


def test_a_file_is_named_by_a_variable(stopped: OperatedServer) -> None:
    done = run_pds("account", "list", env={"PDS_ENV_FILE": str(stopped.server.env_file)})
    assert "alice.test" in done.stdout
    assert done.stderr == ""
    missing = run_pds("account", "list", env={"PDS_ENV_FILE": "/no/such/file"})
    assert missing.returncode == 2
    assert "PDS_ENV_FILE" in missing.stderr
    assert "/no/such/file" in missing.stderr


def test_a_file_in_the_working_directory_is_found_and_told(directory: Path) -> None:
    done = run_pds("account", "list", env=NOT_NAMED, cwd=directory)
    assert "alice.test" in done.stdout
    assert done.stderr == f"Note: settings from {directory / 'pds.env'}\n"
    examined = run_pds("doctor", "--offline", "--json", env=NOT_NAMED, cwd=directory)
    assert examined.stderr == done.stderr
    assert f'"subject": "{directory / "pds.env"}"' not in examined.stdout  # It is not exposed.


def test_a_named_file_and_the_environment_win_over_a_found_one(
    directory: Path, stopped: OperatedServer, tmp_path: Path
) -> None:
    found = directory / "pds.env"
    found.write_text(found.read_text() + "PDS_DATA_DIRECTORY=/nowhere\n")
    words = ("account", "list")
    named = run_pds(
        *words, "--env-file", str(stopped.server.env_file), env=NOT_NAMED, cwd=directory
    )
    assert "alice.test" in named.stdout
    assert named.stderr == ""
    assert "/nowhere" in run_pds(*words, env=NOT_NAMED, cwd=directory).stderr
    data = {"PDS_DATA_DIRECTORY": str(stopped.server.data)}
    explicit = run_pds(*words, env={**NOT_NAMED, **data}, cwd=directory)
    assert "alice.test" in explicit.stdout


def test_an_environment_with_secrets_is_complete_without_a_found_file(
    directory: Path, stopped: OperatedServer
) -> None:
    whole = read_env_file(stopped.server.env_file)
    found = directory / "pds.env"
    found.write_text(found.read_text() + "PDS_DATA_DIRECTORY=/nowhere\n")
    done = run_pds("account", "list", env={**NOT_NAMED, **whole}, cwd=directory)
    assert "alice.test" in done.stdout
    assert done.stderr == ""
    half = run_pds("account", "list", env={**NOT_NAMED, "PDS_JWT_SECRET": "x"}, cwd=directory)
    assert half.returncode == 1
    assert "pds.env was not read, because the environment has PDS_JWT_SECRET." in half.stderr


def test_a_file_that_a_stranger_may_have_left_is_not_taken(directory: Path) -> None:
    (directory / "pds.env").chmod(0o666)
    done = run_pds("account", "list", env=NOT_NAMED, cwd=directory)
    assert done.returncode == 1
    assert "pds.env was not read, because it belongs to another user or anyone" in done.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give files away")
def test_a_file_of_another_user_is_not_taken(directory: Path) -> None:
    os.chown(directory / "pds.env", 65534, 65534)
    done = run_pds("account", "list", env=NOT_NAMED, cwd=directory)
    assert "pds.env was not read, because it belongs to another user" in done.stderr


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give links away")
def test_a_link_of_another_user_to_a_file_of_ours_is_not_taken(directory: Path) -> None:
    """It would let a command work on a server that nobody meant."""
    file = directory / "pds.env"
    file.rename(directory / "other.env")
    file.symlink_to("other.env")
    assert "alice.test" in run_pds("account", "list", env=NOT_NAMED, cwd=directory).stdout
    os.lchown(file, 65534, 65534)
    done = run_pds("account", "list", env=NOT_NAMED, cwd=directory)
    assert "pds.env was not read, because it belongs to another user" in done.stderr


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ('"a b"', "a b"),
        ("'a b'", "a b"),
        ("""'say "hi"'""", 'say "hi"'),
        ('"Bob\'s"', "Bob's"),
        ("the Joneses'", "the Joneses'"),
        ('"', '"'),
        ('""', ""),
    ],
)
def test_a_pair_of_quotes_is_taken_off_and_no_other(
    tmp_path: Path, written: str, value: str
) -> None:
    file = tmp_path / "pds.env"
    file.write_text(f"PDS_SERVICE_NAME={written}\n")
    assert read_env_file(file) == {"PDS_SERVICE_NAME": value}


def test_a_byte_order_mark_does_not_hide_the_first_variable(tmp_path: Path) -> None:
    file = tmp_path / "pds.env"
    file.write_text("PDS_PORT=1\r\nPDS_HOSTNAME=x\r\n", encoding="utf-8-sig")
    assert read_env_file(file) == {"PDS_PORT": "1", "PDS_HOSTNAME": "x"}


def test_missing_settings_name_the_file_or_how_to_name_one(directory: Path) -> None:
    (directory / "pds.env").write_text("PDS_HOSTNAME=pds.example.com\n")
    of_file = run_pds("account", "list", env=NOT_NAMED, cwd=directory).stderr
    assert "Error: The settings of pds.env need attention:\n  - " in of_file
    without = run_pds("account", "list").stderr
    last = without.splitlines()[-1]
    assert last.startswith("Try: --env-file FILE, or PDS_ENV_FILE=FILE")
    assert "./pds.env, /pds/pds.env, /etc/holdfast/pds.env" in last


def test_every_command_with_settings_says_where_they_are_found() -> None:
    checked = 0
    for path in every_command(main):
        text = " ".join(help_of(path).split())
        if "--env-file FILE" in text:
            assert "./pds.env, /pds/pds.env, /etc/holdfast/pds.env" in text, path
            assert "PDS_ENV_FILE" in text, path
            checked += 1
    assert checked > 15


def test_the_first_place_that_has_a_file_is_taken(tmp_path: Path) -> None:
    places = [tmp_path / "a", tmp_path / "b", tmp_path / "c"]
    assert find_env_file({}, places) is None
    places[0].mkdir()
    for place in places[1:]:
        place.touch()
    assert find_env_file({}, places) == places[1]
    assert find_env_file({"PDS_ADMIN_PASSWORD": ""}, places) == places[1]
    assert find_env_file({"PDS_ADMIN_PASSWORD": "set"}, places) is None
