"""`pds hold init`: settings that a hold starts with, and nothing lost that was there."""

from __future__ import annotations

import asyncio
import os
import shlex
import stat
from pathlib import Path

import pytest

from pds.config import read_settings
from pds.config.env_file import SECRETS, read_env_file
from tests.pds.cli.hold.conftest import URL, HoldOperator, make_hold
from tests.pds.hold.conftest import OWNER
from tests.processes import run_pds
from tests.seaweedfs import SeaweedFs


def init(newcomer: HoldOperator, *more: str, **environ: str) -> dict[str, str]:
    """Give the command with owner and URL; return what is in the file afterwards."""
    newcomer.run("init", "--owner", OWNER, "--public-url", URL, *more, **environ)
    return read_env_file(newcomer.env_file)


def test_a_hold_can_start_with_what_is_written(newcomer: HoldOperator, tmp_path: Path) -> None:
    values = init(newcomer, "--public")
    settings = read_settings(values)
    assert (settings.hold.enabled, settings.hold.owner, settings.hold.public) == (True, OWNER, True)
    assert settings.hold_did == "did:web:hold.example.com"
    assert settings.data_directory == tmp_path / "hold-data"
    assert settings.data_directory.is_dir()
    assert stat.S_IMODE(newcomer.env_file.stat().st_mode) == 0o600


def test_it_tells_what_is_left_to_do(newcomer: HoldOperator) -> None:
    told = newcomer.run("init", "--owner", OWNER, "--public-url", URL)
    assert "did:web:hold.example.com will be the hold of" in told
    for step in ("DNS:", "TLS:", f"pds serve --env-file {newcomer.env_file}", "pds hold status"):
        assert step in told
    for name in SECRETS:
        assert read_env_file(newcomer.env_file)[name] not in told


def test_a_second_time_changes_only_what_is_given(newcomer: HoldOperator) -> None:
    before = init(newcomer)
    outcome = newcomer.run_json("init", "--allow-all-crew")
    assert (outcome["added"], outcome["changed"]) == ([], ["PDS_HOLD_ALLOW_ALL_CREW"])
    after = read_env_file(newcomer.env_file)
    assert after == {**before, "PDS_HOLD_ALLOW_ALL_CREW": "true"}


def test_a_file_that_exists_keeps_its_lines(newcomer: HoldOperator, tmp_path: Path) -> None:
    text = (
        "# mine\nexport PDS_HOSTNAME=pds.example.com\nPDS_JWT_SECRET='a b'\n"
        "PDS_DATA_DIRECTORY=/pds\nPDS_HOLD_PUBLIC=true\n"
    )
    newcomer.env_file.write_text(text)
    values = init(newcomer, "--data", str(tmp_path / "pds"))
    written = newcomer.env_file.read_text()
    assert written.startswith(text.replace("/pds\n", f"{tmp_path}/pds\n"))
    assert values["PDS_ADMIN_PASSWORD"]
    assert values["PDS_HOLD_PUBLIC"] == "true"


def test_a_value_with_a_blank_is_quoted_as_in_a_shell(
    newcomer: HoldOperator, tmp_path: Path
) -> None:
    values = init(newcomer, "--data", str(tmp_path / "my data"))
    assert values["PDS_DATA_DIRECTORY"] == str(tmp_path / "my data")
    for line in newcomer.env_file.read_text().splitlines()[1:]:
        name, _, value = line.partition("=")
        assert shlex.split(value) == [values[name]]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_root_leaves_the_file_to_the_user_of_the_server(newcomer: HoldOperator) -> None:
    newcomer.env_file.touch()
    os.chown(newcomer.env_file, 65534, 65534)
    told = newcomer.run("init", "--owner", OWNER, "--public-url", URL)
    status = newcomer.env_file.stat()
    assert (status.st_uid, status.st_gid) == (65534, 65534)
    assert f"chown -R USER: {newcomer.env_file}" in told


def test_variables_of_the_original_hold_are_taken_over(newcomer: HoldOperator) -> None:
    original = {
        "HOLD_PUBLIC_URL": URL,
        "HOLD_OWNER": OWNER,
        "HOLD_PUBLIC": "true",
        "HOLD_SERVER_ADDR": ":9000",
        "S3_BUCKET": "layers",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "S3_ENDPOINT": "https://s3.example.com",
    }
    newcomer.run("init", "--no-check", **original)
    settings = read_settings(read_env_file(newcomer.env_file))
    assert (settings.hold.owner, settings.hold_url, settings.hold.public) == (OWNER, URL, True)
    assert settings.service.port == 9000
    assert settings.blobstore.s3_bucket == "layers"
    assert settings.blobstore.disk_location is None


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("--public-url", URL), "Owner (DID or handle) is not given, and there is no terminal"),
        (("--owner", OWNER), "URL of the hold is not given, and there is no terminal"),
        (("--owner", "no one", "--public-url", URL), "no one is neither a DID nor a handle"),
        (("--owner", OWNER, "--public-url", "https://a/b"), "https://a/b is not the URL of a hold"),
        (("--owner", OWNER, "--public-url", "http://[a"), "http://[a is not the URL of a hold"),
        (("--owner", OWNER, "--public-url", "http://localhost"), "PDS_HOSTNAME is unset or local"),
    ],
)
def test_what_cannot_work_is_refused_and_writes_nothing(
    newcomer: HoldOperator, args: tuple[str, ...], told: str
) -> None:
    assert told in newcomer.refuse("init", *args)
    assert not newcomer.env_file.exists()


def test_a_setting_that_cannot_be_read_is_refused_and_stays(newcomer: HoldOperator) -> None:
    newcomer.env_file.write_text("PDS_HOLD_PUBLIC=yes\n")
    message = newcomer.refuse("init", "--owner", OWNER, "--public-url", URL)
    assert 'PDS_HOLD_PUBLIC is "yes": set true or false' in message
    assert newcomer.env_file.read_text() == "PDS_HOLD_PUBLIC=yes\n"


def lines_of(values: dict[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in values.items())


def test_a_bucket_that_works_is_said_to(newcomer: HoldOperator, seaweedfs: SeaweedFs) -> None:
    bucket = asyncio.run(seaweedfs.create_bucket()).bucket
    newcomer.env_file.write_text(lines_of(seaweedfs.environ(bucket)))
    outcome = newcomer.run_json("init", "--owner", OWNER, "--public-url", URL)
    assert (outcome["storage"], outcome["s3"]) == ("s3", {"bucket": bucket, "works": True})


def test_a_bucket_that_does_not_work_is_told(newcomer: HoldOperator, seaweedfs: SeaweedFs) -> None:
    before = lines_of(seaweedfs.environ("no-such-bucket"))
    newcomer.env_file.write_text(before)
    message = newcomer.refuse("init", "--owner", OWNER, "--public-url", URL)
    assert "S3 does not work" in message
    assert "NoSuchBucket" in message
    assert newcomer.env_file.read_text() == before


def test_a_fault_of_the_bucket_is_told_once(newcomer: HoldOperator, seaweedfs: SeaweedFs) -> None:
    newcomer.env_file.write_text(lines_of(seaweedfs.environ("no-such-bucket")))
    command = ["hold", "init", "--owner", OWNER, "--public-url", URL]
    done = run_pds(*command, "--env-file", str(newcomer.env_file))
    assert done.returncode == 1
    assert done.stderr.startswith("Error: S3 does not work: ")
    assert done.stderr.count("NoSuchBucket") == 1


def test_a_bucket_that_refuses_a_command_is_told(
    newcomer: HoldOperator, seaweedfs: SeaweedFs
) -> None:
    newcomer.env_file.write_text(lines_of(seaweedfs.environ("no-such-bucket")))
    init(newcomer, "--no-check")
    make_hold(newcomer)
    message = newcomer.refuse("gc")
    assert "NoSuchBucket" in message
    assert "create it, or set PDS_BLOBSTORE_S3_BUCKET" in message
