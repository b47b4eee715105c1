"""`pds hold status`, `stats` and `gc`, on the files of a stopped hold."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from pds.cli import main
from pds.cli.hold import reach
from tests.pds.cli.hold.conftest import URL, HoldOperator
from tests.pds.hold.conftest import OWNER
from tests.processes import free_port

DID = "did:web:hold.example.com"
KEY = "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme"


def test_the_status_is_told_for_people_and_programs(operator: HoldOperator) -> None:
    told = operator.run_json("status", "--offline")
    assert (told["did"], told["url"], told["captain"]["did"]) == (DID, URL, OWNER)
    assert (told["reachable"], told["fault"]) == (None, None)
    lines = operator.run("status", "--offline")
    for shown in (DID, OWNER, "by the crew only", "1 member", "0 blobs, 0 B"):
        assert shown in lines


@pytest.mark.parametrize(
    "command",
    [
        ("status",),
        ("stats",),
        ("gc",),
        ("crew", "list"),
        ("crew", "add", OWNER),
        ("crew", "remove", OWNER, "--yes"),
    ],
)
def test_no_command_makes_a_hold_where_there_is_none(
    beginner: HoldOperator, tmp_path: Path, command: tuple[str, ...]
) -> None:
    message = beginner.refuse(*command)
    assert f"There is no hold {DID} in {tmp_path / 'hold-data'}" in message
    assert "If its server has never been started, start it" in message
    assert list((tmp_path / "hold-data").iterdir()) == []


def test_a_lost_signing_key_is_told_and_can_be_replaced(
    operator: HoldOperator, tmp_path: Path
) -> None:
    before = operator.run_json("status", "--offline")["signingKey"]
    (key,) = (tmp_path / "hold-data" / "actors").glob("*/*/key")
    key.unlink()
    told = operator.run_json("status")
    assert (told["signingKey"], told["reachable"]) == (None, None)
    assert "pds doctor" in told["fault"]
    assert "nothing can be signed" in operator.run("status", "--offline")
    rotate = ["key", "rotate", DID, "--env-file", str(operator.env_file)]
    done = CliRunner().invoke(main, rotate)
    assert done.exit_code == 0, (done.output, done.exception)
    assert operator.run_json("status", "--offline")["signingKey"] not in (None, before)


def test_a_hold_that_nobody_reaches_is_told(operator: HoldOperator) -> None:
    url = f"http://localhost:{free_port()}"
    fault = reach.find_fault(url, did=DID, signing_key=KEY)
    assert fault is not None
    assert "Check DNS, the proxy that ends TLS, and whether the server runs" in fault


def test_a_new_hold_has_no_stats_and_no_garbage(operator: HoldOperator) -> None:
    assert operator.run_lines("stats") == []
    assert "0 repositories, 0 pulls, 0 pushes" in operator.run("stats")
    found = operator.run_json("gc")
    assert (found["delete"], found["blobs"], found["garbage"]) == (False, 0, 0)
    assert "Garbage:" in operator.run("gc", "--delete", "--yes")
    assert "there is no terminal to ask on" in operator.refuse("gc", "--delete")
