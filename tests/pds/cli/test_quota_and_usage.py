"""`pds account quota` and `pds account list --usage`, beside the server and on its files."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pds.cli import main
from tests.pds.cli.conftest import OperatedServer, Operator

UNKNOWN = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"


def usage_of(operator: Operator) -> tuple[dict[str, Any], dict[str, int]]:
    """What `account list --usage --json` prints: accounts by handle, and the total."""
    *accounts, last = operator.run_lines("account", "list", "--usage")
    return {account["handle"]: account for account in accounts}, last["total"]


def test_a_quota_is_set_shown_and_taken_back(operator: Operator) -> None:
    made = operator.create("bounded")
    shown = operator.run_fields("account", "quota", "bounded.test")
    assert shown["Account"] == f"bounded.test ({made['did']})"
    assert shown["Quota"] == "none (default)"
    assert operator.run_fields("account", "quota", "bounded.test", "20GB")["Quota"] == "20.0 GB"
    for size, quota, is_own in (
        ("1.5MiB", 1_572_864, True),
        ("0", 0, True),
        ("none", None, True),
        ("DEFAULT", None, False),
    ):
        told = operator.run_json("account", "quota", made["did"], size)
        assert (told["quotaBytes"], told["quotaIsOwn"]) == (quota, is_own)
        again = operator.run_json("account", "quota", "Bounded.TEST")
        assert (again["quotaBytes"], again["quotaIsOwn"]) == (quota, is_own)


def test_a_quota_shows_what_is_used(operator: Operator) -> None:
    operator.create("used")
    used = operator.run_json("account", "quota", "used.test")
    assert 50_000 < used["usedBytes"] < 500_000
    assert used["usedBytes"] == used["databaseBytes"] + used["blobBytes"]
    text = operator.run_fields("account", "quota", "used.test")["Used"]
    assert text.endswith("kB of records, 0 B of blobs)")


def test_only_an_account_has_a_quota(operator: Operator) -> None:
    message = operator.refuse("account", "quota", UNKNOWN, "5GB")
    assert f"There is no account {UNKNOWN}" in message


@pytest.mark.parametrize("size", ["-5", "much", "5 XB", ""])
def test_what_is_no_size_is_a_usage_error(stopped: OperatedServer, size: str) -> None:
    words = ["account", "quota", "alice.test", "--env-file", str(stopped.server.env_file)]
    done = CliRunner().invoke(main, [*words, "--", size])
    assert done.exit_code == 2
    assert "is not a size" in done.output


def test_the_list_tells_the_room_of_each_and_of_all(operator: Operator) -> None:
    made = operator.create("listed-usage")
    operator.run("account", "quota", made["did"], "7MB")
    accounts, total = usage_of(operator)
    one = accounts["listed-usage.test"]
    assert one["email"] == "listed-usage@example.com"
    assert (one["quotaBytes"], one["quotaIsOwn"]) == (7_000_000, True)
    assert (one["records"], one["blobs"], one["blobBytes"]) == (0, 0, 0)
    assert total["accounts"] == len(accounts)
    assert total["unreadable"] == 0
    assert total["databaseBytes"] == sum(one["databaseBytes"] for one in accounts.values())
    assert total["usedBytes"] == total["databaseBytes"] + total["blobBytes"]
    table = operator.run("account", "list", "--usage")
    assert table.splitlines()[0].startswith(f"{len(accounts)} account")
    (row,) = [line for line in table.splitlines() if made["did"] in line]
    assert "7.0 MB" in row


@pytest.fixture
def copied(files: Operator, tmp_path: Path) -> Operator:
    """The operator of files that no other test has."""
    data = tmp_path / "data"
    shutil.copytree(files.data, data)
    places = {
        "PDS_DATA_DIRECTORY": str(data),
        "PDS_BLOBSTORE_DISK_LOCATION": str(data / "blobs"),
    }
    return Operator(files.server, {**files.environ, **places}, data)


def test_looking_at_files_leaves_them_as_they_are(copied: Operator) -> None:
    copied.create("untouched")
    before = contents(copied)
    usage_of(copied)
    copied.run("account", "quota", "untouched.test")
    assert contents(copied) == before


def contents(operator: Operator) -> dict[str, int]:
    """The files of actors, by path and time of the last change."""
    return {
        str(path): path.stat().st_mtime_ns
        for path in (operator.data / "actors").rglob("*")
        if path.is_file()
    }


def test_an_account_whose_files_are_gone_does_not_hide_the_others(copied: Operator) -> None:
    made, _ = copied.create("broken"), copied.create("sound")
    (store,) = (copied.data / "actors").glob(f"*/{made['did']}/store.sqlite")
    store.write_bytes(b"noise" * 1000)
    accounts, total = usage_of(copied)
    assert accounts["broken.test"]["usedBytes"] is None
    assert accounts["sound.test"]["usedBytes"] > 0
    assert total["unreadable"] == 1
    assert "1 cannot be read" in copied.run("account", "list", "--usage")
    used = copied.run_fields("account", "quota", "broken.test")["Used"]
    assert used == "unknown, because its files cannot be read"
