"""`pds replicate status`: what it shows, and its exit status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from pds.cli import main
from tests.pds.config.test_replication_settings import REPLICATED
from tests.pds.config.test_settings import WORKING
from tests.pds.replication.statuses import ALICE, lagging, tell, waiting


def run(data: Path, *args: str) -> Result:
    environ = {**WORKING, **REPLICATED, "PDS_DATA_DIRECTORY": str(data), "COLUMNS": "120"}
    return CliRunner().invoke(main, ["replicate", "status", *args], env=environ)


def test_one_that_is_current_is_shown_with_status_0(tmp_path: Path) -> None:
    tell(tmp_path, actors=waiting(1, 0.8))
    done = run(tmp_path)
    assert done.exit_code == 0, done.output
    for text in (
        "s3://bucket/pds",
        "running, process",
        "1,000, of which 1 is waiting to be sent",
        "0.8 s old",
        "20 accounts, at most 500",
        "sent within 0.9 s (99 %)",
        "sequencer.sqlite",
        "signal 9",
        "Nothing is wrong.",
    ):
        assert text in done.stdout, text


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"actors": waiting(40, 300)}, "Wrong: changes wait for 300 seconds"),
        ({"databases": lagging(90)}, "Wrong: changes wait for 90 seconds"),
        ({"state": "failed", "last_error": "wrong passphrase"}, "does not run: wrong passphrase"),
        ({"written_s": 1.0}, "Wrong: replication does not run"),
        (
            {"actors": waiting(1, 0, failing=1), "failing": ((ALICE, "malformed"),)},
            f"1 account cannot be replicated: {ALICE}: malformed",
        ),
    ],
)
def test_what_keeps_the_replica_behind_is_told_with_status_1(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    tell(tmp_path, **changes)
    done = run(tmp_path)
    assert (done.exit_code, told in done.stdout) == (1, True), done.output


def test_the_operator_says_which_lag_is_too_long(tmp_path: Path) -> None:
    tell(tmp_path, actors=waiting(1, 5))
    assert run(tmp_path, "--max-lag", "4.5").exit_code == 1
    assert run(tmp_path, "--max-lag", "6").exit_code == 0


def test_a_program_gets_everything_and_the_judgement(tmp_path: Path) -> None:
    tell(tmp_path, actors=waiting(40, 300))
    done = run(tmp_path, "--json")
    told = json.loads(done.stdout)
    assert done.exit_code == 1
    assert told["actors"]["dirty"] == 40
    assert (told["alive"], told["lag_s"]) == (True, 300)
    assert [fault["message"] for fault in told["faults"]] == [
        "changes wait for 300 seconds to reach the replica"
    ]


def test_one_that_has_stopped_in_order_is_shown_as_that(tmp_path: Path) -> None:
    tell(tmp_path, state="stopped")
    done = run(tmp_path)
    assert "everything had been sent" in done.stdout
    assert done.exit_code == 1


def test_one_that_never_ran_is_an_error(tmp_path: Path) -> None:
    done = run(tmp_path, "--json")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "has never run on this data directory" in done.stderr


def test_options_of_replicating_are_not_taken_before_a_command() -> None:
    done = CliRunner().invoke(main, ["replicate", "--to", "file:///x", "status"])
    assert done.exit_code == 2
    assert "--to is an option of" in done.output
