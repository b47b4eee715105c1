"""The settings of `pds dev`: secrets that stay, overrides that last for one start."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path

import pytest

from pds.config import ConfigError, read_settings
from pds.config.env_file import read_env_file
from pds.dev.environment import ENV_FILE, dev_environment, keep_dev_environment

SECRETS = (
    "PDS_JWT_SECRET",
    "PDS_ADMIN_PASSWORD",
    "PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX",
)


def start(data: Path, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The variables of one start, which writes them down."""
    variables = dev_environment(
        data, host="127.0.0.1", port=3583, plc_port=3582, environ=environ or {}
    )
    keep_dev_environment(data, variables)
    return variables


def test_the_defaults_are_settings_that_work(tmp_path: Path) -> None:
    settings = read_settings(start(tmp_path))
    assert settings.public_url == "http://localhost:3583"
    assert settings.identity.plc_url == "http://localhost:3582"
    assert settings.service_handle_domains == (".test",)
    assert settings.invites.required is False
    assert settings.data_directory == tmp_path
    assert settings.bind_address == "127.0.0.1"


def test_secrets_are_made_once_and_differ_between_directories(tmp_path: Path) -> None:
    first = start(tmp_path / "a")
    assert start(tmp_path / "a") == first
    other = start(tmp_path / "b")
    for name in SECRETS:
        assert len(first[name]) >= 32
        assert first[name] != other[name]


def test_the_file_is_what_other_commands_need_and_closed_to_others(tmp_path: Path) -> None:
    variables = start(tmp_path)
    path = tmp_path / ENV_FILE
    assert read_env_file(path) == variables
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == [ENV_FILE]


def test_a_bucket_takes_the_place_of_the_blob_directory_unless_blobs_move(tmp_path: Path) -> None:
    bucket = {"PDS_BLOBSTORE_S3_BUCKET": "blobs"}
    assert read_settings(start(tmp_path, bucket)).blob_homes == ("s3",)
    moving = {**bucket, "PDS_BLOBSTORE_MOVE_TO": "s3"}
    assert read_settings(start(tmp_path, moving)).blob_homes == ("s3", "disk")
    assert read_settings(start(tmp_path)).blob_homes == ("disk",)


def test_the_environment_wins_for_one_start(tmp_path: Path) -> None:
    overrides = {"PDS_INVITE_REQUIRED": "true", "PDS_CRAWLERS": "https://relay.example"}
    changed = start(tmp_path, {**overrides, "LOG_LEVEL": "debug", "HOME": "/root"})
    assert changed.items() >= overrides.items()
    assert changed["LOG_LEVEL"] == "debug"
    assert "HOME" not in changed
    after = start(tmp_path)
    assert after["PDS_INVITE_REQUIRED"] == "false"
    assert after.keys().isdisjoint({"PDS_CRAWLERS", "LOG_LEVEL"})


def test_a_secret_from_the_environment_stays(tmp_path: Path) -> None:
    # Accounts made with a rotation key need it for good.
    start(tmp_path, {"PDS_ADMIN_PASSWORD": "admin-pass"})
    assert start(tmp_path)["PDS_ADMIN_PASSWORD"] == "admin-pass"


def test_an_empty_variable_erases_no_secret(tmp_path: Path) -> None:
    first = start(tmp_path)
    assert start(tmp_path, dict.fromkeys(SECRETS, "")) == first


def test_a_lost_secret_is_made_anew(tmp_path: Path) -> None:
    first = start(tmp_path)
    kept = {name: value for name, value in first.items() if name != "PDS_JWT_SECRET"}
    keep_dev_environment(tmp_path, kept)
    second = start(tmp_path)
    assert second["PDS_ADMIN_PASSWORD"] == first["PDS_ADMIN_PASSWORD"]
    assert second["PDS_JWT_SECRET"] != first["PDS_JWT_SECRET"]


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / ENV_FILE).write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="not a text file"):
        start(tmp_path)
