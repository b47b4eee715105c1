"""`pds blobs` where there is nothing to move: what it shows, and why it refuses.

Real moves are in tests/e2e/test_blob_move.py.
"""

from __future__ import annotations

from typing import Any

import pytest
from click.testing import CliRunner

from pds.cli import main
from pds.cli.blobs.counting import Contents
from pds.cli.blobs.migrate import Moved
from tests.pds.cli.conftest import OperatedServer, Operator

BUCKET = {"PDS_BLOBSTORE_S3_BUCKET": "blobs"}
MIGRATE = ("blobs", "migrate", "--to")


def test_status_shows_what_is_on_the_disk(stopped: OperatedServer, files: Operator) -> None:
    found = files.run_json("blobs", "status")
    assert found["moveTo"] is None
    (disk,) = found["stores"].values()
    assert disk["permanent"] == {"count": 1, "bytes": len(b"a picture")}
    table = files.run("blobs", "status")
    for row in ("permanent", "quarantined", "temporary"):
        assert row in table
    assert "move" not in table.lower()


def test_status_asks_the_running_server(running: OperatedServer) -> None:
    assert Operator(running, {}, running.server.data).run_json("blobs", "status")["stores"]["disk"]


@pytest.mark.parametrize(
    ("to", "environ", "problem"),
    [
        ("s3", {}, "also set PDS_BLOBSTORE_S3_BUCKET and what belongs to it"),
        ("s3", {}, "set PDS_BLOBSTORE_MOVE_TO=s3, and restart the server"),
        ("disk", {}, "All blobs are on the disk already"),
        ("s3", BUCKET, "PDS_BLOBSTORE_MOVE_TO"),
        ("s3", {"PDS_BLOBSTORE_MOVE_TO": "s3"}, "set both"),
        ("s3", {**BUCKET, "PDS_BLOBSTORE_MOVE_TO": "tape"}, "set disk or s3"),
        (
            "s3",
            {**BUCKET, "PDS_BLOBSTORE_MOVE_TO": "disk"},
            "The settings have PDS_BLOBSTORE_MOVE_TO=disk",
        ),
    ],
)
def test_a_move_needs_two_places_and_a_direction(
    files: Operator, to: str, environ: dict[str, str], problem: str
) -> None:
    operator = Operator(files.server, {**files.environ, **environ}, files.data)
    assert problem in operator.refuse(*MIGRATE, to)


def test_the_running_server_must_know_of_the_move(running: OperatedServer) -> None:
    environ = {**BUCKET, "PDS_BLOBSTORE_MOVE_TO": "disk"}
    refused = Operator(running, environ, running.server.data).refuse(*MIGRATE, "disk")
    assert "This server was started with blobs on the disk only" in refused
    assert "restart it" in refused


@pytest.mark.parametrize("rate", ["999", "fast", "-1"])
def test_a_rate_is_a_size(rate: str) -> None:
    done = CliRunner().invoke(main, [*MIGRATE, "s3", "--rate", rate])
    assert (done.exit_code, "Invalid value for '--rate'" in done.stderr) == (2, True)


def answer(run: str, state: str, blobs: int, **more: Any) -> dict[str, Any]:
    """What the server tells of a move."""
    return {
        "run": run,
        "state": state,
        "failure": None,
        "movedBlobs": blobs,
        "movedBytes": blobs * 1000,
        "copiedBytes": blobs * 1_000_000,
        "leftCount": 0,
        "left": [],
        **more,
    }


def test_what_several_runs_have_moved_is_added_up() -> None:
    moved = Moved("s3")
    shown: list[tuple[str, int, int]] = []
    for told in (
        answer("a", "moving", 1),
        answer("a", "stopped", 2),
        answer("b", "moving", 0, leftCount=1),
        answer("b", "done", 3, leftCount=1),
    ):
        moved.note(told)
        moved.show(lambda *step: shown.append(step), of=Contents(6, 6_000_000))
    assert (moved.run, moved.is_moving, moved.contents) == ("b", False, Contents(5, 5000))
    assert shown[-4:] == [
        ("blobs", 3, 6),
        ("megabytes", 2, 6),
        ("blobs", 6, 6),
        ("megabytes", 5, 6),
    ]
