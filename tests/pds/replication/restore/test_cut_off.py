"""A restore that a kill or a power failure cuts off, and the one that goes on from there."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pds.replication.errors import ReplicaRefused
from pds.replication.restore.marker import MARKER
from pds.replication.restore.report import Lack
from tests.pds.replication.restore.origin import Origin, contents
from tests.pds.replication.restore.test_restoring import FailingPlace, summary

KILLED = """
import asyncio, os, signal, sys
from pathlib import Path
from pds.replication.restore.report import RestoreReport
from tests.pds.replication.restore.origin import Origin

data, replica, to, name = sys.argv[1:]
note = RestoreReport.note


def die(report, noted, outcome):
    if noted == name:
        os.kill(os.getpid(), signal.SIGKILL)
    note(report, noted, outcome)


RestoreReport.note = die
asyncio.run(Origin(Path(data), Path(replica)).restore(Path(to)).run())
"""
"""Restores until a database is under its name, and nothing has been told of it."""


def restore_until(name: str, origin: Origin, to: Path) -> None:
    words = [sys.executable, "-c", KILLED, str(origin.data), str(origin.replica), str(to), name]
    done = subprocess.run(words, timeout=60, check=False)  # noqa: S603 (ours)
    assert done.returncode == -9


async def test_what_the_replica_lacked_is_told_although_a_kill_came_before(
    origin: Origin, tmp_path: Path
) -> None:
    files = origin.files(origin.database("alice"))
    files[-1].write_bytes(files[-1].read_bytes()[:-1])
    to, did = tmp_path / "restored", origin.did("alice")
    restore_until(did, origin, to)
    assert list(to.glob(f"actors/??/{did}/store.sqlite"))
    report = await origin.restore(to).run()
    assert report.is_resumed
    assert [(one.kind, one.subject) for one in report.findings] == [(Lack.OLDER_STATE, did)]
    assert report.totals.databases == 6


async def test_a_database_of_the_server_without_a_note_is_restored_anew(
    origin: Origin, tmp_path: Path
) -> None:
    files = origin.files("account.sqlite")
    files[-1].write_bytes(files[-1].read_bytes()[:-1])
    to = tmp_path / "restored"
    restore_until("account.sqlite", origin, to)
    assert (to / "account.sqlite").exists()
    report = await origin.restore(to).run()
    assert [(one.kind, one.subject) for one in report.findings] == [
        (Lack.OLDER_STATE, "account.sqlite")
    ]
    for name in ("sequencer.sqlite", "did_cache.sqlite"):
        assert contents(to / name) == contents(origin.data / name)


async def restore_until_power_fails(origin: Origin, to: Path) -> None:
    """Get as far as the first account."""
    place = FailingPlace(origin.replica, after=12)
    with pytest.raises(ReplicaRefused):
        await origin.restore(to, place=place, parallelism=1).run()
    empty_all(to)


def empty_all(to: Path) -> None:
    """Leave names without contents, as a power failure does."""
    marker = json.loads((to / MARKER).read_text())
    (to / MARKER).write_text(json.dumps({**marker, "bootId": "another"}))
    left = [*to.rglob("*.sqlite"), *to.rglob("key")]
    assert {path.name for path in left} >= {"account.sqlite", "store.sqlite", "key"}
    for path in left:
        path.write_bytes(b"")


async def test_after_a_restart_of_the_machine_no_file_is_trusted(
    origin: Origin, tmp_path: Path
) -> None:
    to = tmp_path / "restored"
    await restore_until_power_fails(origin, to)
    report = await origin.restore(to).run()
    assert not report.is_resumed
    assert report.is_complete
    summary(origin, to)


async def test_what_a_run_after_the_restart_has_not_reached_is_not_trusted_either(
    origin: Origin, tmp_path: Path
) -> None:
    to = tmp_path / "restored"
    await restore_until_power_fails(origin, to)
    with pytest.raises(ReplicaRefused):
        await origin.restore(to, place=FailingPlace(origin.replica, after=3)).run()
    report = await origin.restore(to).run()
    assert report.is_resumed
    assert report.is_complete
    summary(origin, to)
