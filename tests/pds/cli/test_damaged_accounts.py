"""A damaged account shows as damaged where accounts are shown, whether the server runs or not."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from tests.pds.cli.conftest import OperatedServer, Operator

_DEADLINE_S = 20.0


def make_noise(store: Path) -> None:
    store.write_bytes(b"noise" * 1000)


def remove(store: Path) -> None:
    store.rename(store.with_name("elsewhere"))


def cut_key(store: Path) -> None:
    store.with_name("key").write_bytes(b"short")


def store_of(operator: Operator, did: str) -> Path:
    (directory,) = (operator.data / "actors").glob(f"*/{did}")
    return directory / "store.sqlite"


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (make_noise, "store.sqlite: file is not a database"),
        (remove, "store.sqlite: there is no such file"),
        (cut_key, "key: no signing key of 32 bytes"),
    ],
)
def test_a_damaged_account_shows_as_damaged(
    operator: Operator, harm: Callable[[Path], None], reason: str, tmp_path: Path
) -> None:
    broken, sound = operator.create("broken"), operator.create("sound")
    directory = store_of(operator, broken["did"]).parent
    shutil.copytree(directory, tmp_path / "copy")
    harm(directory / "store.sqlite")
    try:
        _check_shown_as_damaged(operator, reason)
    finally:
        shutil.copytree(tmp_path / "copy", directory, dirs_exist_ok=True)
        for account in (broken, sound):
            operator.run("account", "delete", account["did"], "--yes")


def _check_shown_as_damaged(operator: Operator, reason: str) -> None:
    shown = operator.show("broken.test")
    assert reason in shown["damage"]
    assert shown["status"] == "active"
    told = operator.run_fields("account", "show", "broken.test")
    assert told["Status"] == "active, damaged"
    assert reason in told["Damage"]
    assert "`pds doctor`" in told["Damage"]
    assert operator.show("sound.test")["damage"] is None
    assert "Damage" not in operator.run_fields("account", "show", "sound.test")
    for options in ((), ("--usage",)):
        listed: dict[str, Any] = {
            one["handle"]: one
            for one in operator.run_lines("account", "list", *options)
            if "handle" in one
        }
        assert reason in listed["broken.test"]["damage"]
        assert listed["sound.test"]["damage"] is None
        rows = operator.run("account", "list", *options).splitlines()
        (row,) = [row for row in rows if "broken.test" in row]
        assert "active, damaged" in row
        (row,) = [row for row in rows if "sound.test" in row]
        assert "damaged" not in row


def test_what_the_server_has_met_shows_after_the_file_is_back(running: OperatedServer) -> None:
    """It is served again after the next start only."""
    operator = Operator(running, {}, running.server.data)
    did = operator.create("noticed")["did"]
    store = store_of(operator, did)
    good = store.read_bytes()
    make_noise(store)
    path = f"com.atproto.repo.listRecords?repo={did}&collection=com.example.note"
    with pytest.raises(HTTPError, match="503"):
        urlopen(f"{running.server.url}/xrpc/{path}", timeout=10)  # noqa: S310
    store.write_bytes(good)
    deadline = time.monotonic() + _DEADLINE_S
    while (damage := operator.show(did)["damage"]) is None and time.monotonic() < deadline:
        pass  # The server notes it in the background.
    assert damage is not None
    assert damage.startswith("the server has found: ")
    operator.run("account", "delete", did, "--yes")
