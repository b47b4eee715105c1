"""`hold.env`: secrets that a server which is only a hold makes once, and keeps."""

from __future__ import annotations

import stat
from pathlib import Path

from pds.config import read_settings
from pds.config.env_file import SECRETS, read_env_file
from pds.config.hold.secrets_file import HOLD_ENV, find_hold_env, keep_hold_env, make_hold_env


def environ_of(data: Path, **changes: str) -> dict[str, str]:
    return {
        "PDS_HOSTNAME": "hold.example.com",
        "PDS_DATA_DIRECTORY": str(data),
        "PDS_BLOBSTORE_DISK_LOCATION": str(data / "blobs"),
        "PDS_HOLD_ENABLED": "true",
        "PDS_HOLD_OWNER": "did:plc:captainaaaaaaaaaaaaaaaaa",
        **changes,
    }


def start(environ: dict[str, str]) -> dict[str, str]:
    """The variables of one start, which keeps what it had to make."""
    values = environ | find_hold_env(environ)
    made = make_hold_env(values)
    if made:
        keep_hold_env(Path(environ["PDS_DATA_DIRECTORY"]), made)
    return values | made


def test_the_first_start_makes_secrets_and_the_next_ones_have_them(tmp_path: Path) -> None:
    first = start(environ_of(tmp_path))
    assert all(len(first[name]) >= 32 for name in SECRETS)
    assert read_settings(first).hold.only
    assert start(environ_of(tmp_path)) == first
    path = tmp_path / HOLD_ENV
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_env_file(path).keys() == {*SECRETS, "PDS_HOLD_ONLY"}


def test_secrets_differ_between_holds(tmp_path: Path) -> None:
    one, other = start(environ_of(tmp_path / "a")), start(environ_of(tmp_path / "b"))
    assert all(one[name] != other[name] for name in SECRETS)


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    first = start(environ_of(tmp_path))
    changed = start(environ_of(tmp_path, PDS_ADMIN_PASSWORD="mine", PDS_HOLD_ONLY="false"))
    assert changed["PDS_ADMIN_PASSWORD"] == "mine"
    assert changed["PDS_JWT_SECRET"] == first["PDS_JWT_SECRET"]
    assert not read_settings(changed).hold.only
    assert start(environ_of(tmp_path, PDS_ADMIN_PASSWORD="")) == {**first}


def test_a_secret_that_the_file_has_lost_is_made_anew(tmp_path: Path) -> None:
    first = start(environ_of(tmp_path))
    path = tmp_path / HOLD_ENV
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if "PDS_JWT_SECRET" not in line))
    second = start(environ_of(tmp_path))
    assert second["PDS_ADMIN_PASSWORD"] == first["PDS_ADMIN_PASSWORD"]
    assert second["PDS_JWT_SECRET"] not in ("", first["PDS_JWT_SECRET"])
    assert start(environ_of(tmp_path)) == second


def test_a_server_with_a_secret_gets_none_unless_it_is_only_a_hold(tmp_path: Path) -> None:
    assert make_hold_env(environ_of(tmp_path, PDS_ADMIN_PASSWORD="mine")) == {}
    made = make_hold_env(environ_of(tmp_path, PDS_ADMIN_PASSWORD="mine", PDS_HOLD_ONLY="true"))
    assert made.keys() == {*SECRETS, "PDS_HOLD_ONLY"} - {"PDS_ADMIN_PASSWORD"}


def test_a_server_that_is_no_hold_neither_makes_nor_reads_secrets(tmp_path: Path) -> None:
    start(environ_of(tmp_path))
    ordinary = environ_of(tmp_path, PDS_HOLD_ENABLED="false")
    assert (find_hold_env(ordinary), make_hold_env(ordinary)) == ({}, {})
