"""Settings of replication: what is implied, and what is refused with what to set instead."""

from __future__ import annotations

import pytest

from pds.config import ConfigError, find_weak_secrets, read_settings
from pds.config.settings import Settings
from tests.pds.config.test_settings import WORKING

PASSPHRASE = "f3a9c41b7d20e865"
RECIPIENT = "age1" + "q" * 58
REPLICATED = {
    "PDS_REPLICATION_URL": "s3://bucket/pds",
    "PDS_REPLICATION_KEY_PASSPHRASE": PASSPHRASE,
}


def settings_with(**changes: str) -> Settings:
    return read_settings(WORKING | REPLICATED | changes)


def problem_with(**changes: str) -> str:
    with pytest.raises(ConfigError) as caught:
        settings_with(**changes)
    (problem,) = caught.value.problems
    return problem


def test_without_a_url_nothing_is_replicated_nor_checked() -> None:
    settings = read_settings(WORKING | {"PDS_REPLICATION_HOT_SET": "-1"})
    assert settings.replication.url is None
    assert settings.wal_autocheckpoint == 1000


def test_a_replicated_server_leaves_checkpoints_to_litestream() -> None:
    assert settings_with().wal_autocheckpoint is None


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket",
        "s3://bucket/a/b?endpoint=http://localhost:1",
        "file:///backup",
        "sftp://u@h/p",
    ],
)
def test_a_place_may_be_a_bucket_a_directory_or_an_sftp_server(url: str) -> None:
    assert settings_with(PDS_REPLICATION_URL=url).replication.url == url


@pytest.mark.parametrize("url", ["/backup", "s3:bucket", "s3://", "https://host", "bucket", "://"])
def test_another_place_is_refused(url: str) -> None:
    problem = problem_with(PDS_REPLICATION_URL=url)
    assert problem.startswith("PDS_REPLICATION_URL is not the URL of a place for replicas: set")


@pytest.mark.parametrize(
    ("place", "name"),
    [
        ("/data", "PDS_DATA_DIRECTORY"),
        ("/data/blobs/backup", "PDS_DATA_DIRECTORY"),
        ("/blobs/backup", "PDS_BLOBSTORE_DISK_LOCATION"),
    ],
)
def test_a_directory_that_would_be_lost_with_the_server_is_refused(place: str, name: str) -> None:
    directories = {"PDS_DATA_DIRECTORY": "/data", "PDS_BLOBSTORE_DISK_LOCATION": "/blobs"}
    problem = problem_with(PDS_REPLICATION_URL=f"file://{place}", **directories)
    assert f"is a directory in {name}" in problem


def test_a_url_that_is_refused_is_not_repeated() -> None:
    assert "its-password" not in problem_with(PDS_REPLICATION_URL="ftp://user:its-password@host/")


def test_signing_keys_are_protected_in_a_way_that_the_operator_chooses() -> None:
    problem = problem_with(PDS_REPLICATION_KEY_PASSPHRASE="")
    assert "nothing says how signing keys are protected" in problem
    assert "set PDS_REPLICATION_KEY_PASSPHRASE to the output of openssl rand --hex 16" in problem


@pytest.mark.parametrize(
    "second",
    [{"PDS_REPLICATION_KEY_RECIPIENT": RECIPIENT}, {"PDS_REPLICATION_KEYS_IN_CLEAR": "true"}],
)
def test_two_ways_at_once_are_refused(second: dict[str, str]) -> None:
    (name,) = second
    assert problem_with(**second).startswith(f"PDS_REPLICATION_KEY_PASSPHRASE and {name} are both")


@pytest.mark.parametrize(
    "second",
    [{"PDS_REPLICATION_KEY_RECIPIENT": RECIPIENT}, {"PDS_REPLICATION_KEYS_IN_CLEAR": "true"}],
)
def test_each_way_alone_is_enough(second: dict[str, str]) -> None:
    settings = settings_with(**second, PDS_REPLICATION_KEY_PASSPHRASE="")
    assert settings.replication.key_passphrase is None


@pytest.mark.parametrize("recipient", ["age1", "alice", RECIPIENT + "q", "age1" + "b" * 58])
def test_a_recipient_is_the_public_key_of_an_age_identity(recipient: str) -> None:
    problem = problem_with(
        PDS_REPLICATION_KEY_PASSPHRASE="", PDS_REPLICATION_KEY_RECIPIENT=recipient
    )
    assert problem.startswith(f'PDS_REPLICATION_KEY_RECIPIENT is "{recipient}": set')


def test_a_secret_identity_in_the_place_of_a_recipient_is_not_repeated() -> None:
    identity = "AGE-SECRET-KEY-1" + "Q" * 58
    problem = problem_with(
        PDS_REPLICATION_KEY_PASSPHRASE="", PDS_REPLICATION_KEY_RECIPIENT=identity
    )
    assert identity not in problem


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PDS_REPLICATION_HOT_SET", "0"),
        ("PDS_REPLICATION_HOT_SET", "100000"),
        ("PDS_REPLICATION_IDLE_TIMEOUT", "10"),
        ("PDS_REPLICATION_SWEEP_INTERVAL", "30"),
        ("PDS_REPLICATION_RETENTION_DAYS", "0"),
    ],
)
def test_a_number_has_bounds(name: str, value: str) -> None:
    assert problem_with(**{name: value}).startswith(f"{name} is {value}: set a number of ")


def test_a_weak_passphrase_is_told() -> None:
    strong = {"PDS_JWT_SECRET": PASSPHRASE, "PDS_ADMIN_PASSWORD": PASSPHRASE}
    assert find_weak_secrets(settings_with(**strong)) == []
    (told,) = find_weak_secrets(
        settings_with(**strong, PDS_REPLICATION_KEY_PASSPHRASE="correct-horse")
    )
    assert told.startswith("PDS_REPLICATION_KEY_PASSPHRASE is short or simple")


def test_a_passphrase_that_anybody_guesses_is_refused_and_not_repeated() -> None:
    problem = problem_with(PDS_REPLICATION_KEY_PASSPHRASE="its-secret")
    assert problem.startswith("PDS_REPLICATION_KEY_PASSPHRASE has less than 12 characters")
    assert "its-secret" not in problem


def test_secrets_do_not_show_in_the_representation() -> None:
    settings = settings_with(PDS_REPLICATION_URL="sftp://user:its-password@host/pds")
    assert "its-password" not in repr(settings)
    assert PASSPHRASE not in repr(settings)
