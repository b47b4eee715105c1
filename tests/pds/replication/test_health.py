"""What is wrong with replication, by what a supervisor says about itself."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any

import pytest

from pds.replication.health import find_faults, has_everything, lag_s
from pds.replication.status import CopiesStatus
from tests.pds.replication.statuses import ALICE, lagging, status_of, waiting


def messages(**changes: Any) -> list[str]:
    return [fault.message for fault in find_faults(status_of(**changes))]


def dead_pid() -> int:
    """The number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_nothing_is_wrong_with_one_that_runs_and_is_up_to_date() -> None:
    assert messages() == []
    assert messages(actors=waiting(30, 2.5)) == []


def test_one_that_has_never_run_is_told() -> None:
    (fault,) = find_faults(None)
    assert "has never run" in fault.message


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"state": "failed", "last_error": "wrong passphrase"}, "wrong passphrase"),
        ({"state": "stopped"}, "it was stopped"),
        (
            {"state": "stopped", "actors": waiting(3, 5)},
            "it was stopped before all was sent; 3 accounts waited",
        ),
        (
            {"state": "stopped", "copies": CopiesStatus(blobs_waiting=1)},
            "it was stopped before all was sent; 0 accounts and 1 blob waited",
        ),
    ],
)
def test_one_that_does_not_run_is_told_with_its_end(changes: dict[str, Any], told: str) -> None:
    assert messages(**changes) == [f"replication does not run: {told}"]


def test_one_that_was_killed_or_hangs_is_told() -> None:
    assert "replication does not run" in messages(pid=dead_pid())[0]
    (hung,) = messages(written_s=time.time() - 100)
    assert hung == "replication does not run: its last sign of life is 100 seconds old"


def test_a_replica_that_takes_nothing_is_told_once() -> None:
    error = "the bucket does not exist"
    (message,) = messages(state="unreachable", last_error=error, actors=waiting(50, 600))
    assert message == f"the replica s3://bucket/pds takes nothing: {error}"


def test_copies_that_cannot_be_made_are_told_unless_nothing_can() -> None:
    copies = CopiesStatus(error="access denied")
    assert messages(copies=copies) == ["keys or blobs cannot be copied: access denied"]
    (message,) = messages(copies=copies, state="unreachable")
    assert "takes nothing" in message


@pytest.mark.parametrize("behind", [{"actors": waiting(50, 61)}, {"databases": lagging(61.2)}])
def test_changes_that_wait_too_long_are_told(behind: dict[str, Any]) -> None:
    assert messages(**behind) == ["changes wait for 61 seconds to reach the replica"]
    assert list(find_faults(status_of(**behind), max_lag_s=100)) == []


def test_an_account_that_cannot_be_replicated_is_named() -> None:
    actors = waiting(1, 0, failing=1)
    (message,) = messages(actors=actors, failing=((ALICE, "database disk image is malformed"),))
    assert message == (f"1 account cannot be replicated: {ALICE}: database disk image is malformed")


def test_a_database_of_the_server_that_cannot_be_replicated_is_named() -> None:
    (message,) = messages(databases=lagging(1, "disk full"))
    assert message == "sequencer.sqlite cannot be replicated: disk full"


def test_the_lag_is_that_of_whatever_is_furthest_behind() -> None:
    assert lag_s(status_of()) == 0
    assert lag_s(status_of(databases=lagging(3), actors=waiting(1, 2))) == 3
    assert lag_s(status_of(databases=lagging(1), actors=waiting(1, 2))) == 2


def test_a_stop_in_order_leaves_nothing_behind() -> None:
    assert has_everything(status_of(state="stopped"))
    assert not has_everything(status_of(state="stopped", actors=waiting(1, 0)))
    assert not has_everything(status_of(state="failed"))


def test_what_a_full_place_does_to_single_databases_is_not_told_beside_it() -> None:
    full = "sync database: replica sync: write ltx file: no space left on device"
    damaged = "sync database: database disk image is malformed"
    place = {
        "state": "unreachable",
        "last_error": "the disk is full",
        "databases": lagging(1, full),
    }
    actors = waiting(2, 0, failing=2)
    (message,) = messages(**place, actors=actors, failing=((ALICE, full), (ALICE, full)))
    assert "takes nothing" in message
    (_, account) = messages(**place, actors=actors, failing=((ALICE, full), (ALICE, damaged)))
    assert account.startswith("2 accounts cannot be replicated")
    (_, database) = messages(**place | {"databases": lagging(1, damaged)})
    assert database == f"sequencer.sqlite cannot be replicated: {damaged}"
