"""Copies of the blobs of a disk blob store."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from database.connection import Database
from pds.replication.copies import blob_adoption, blob_comparison, blob_directories
from pds.replication.copies.blob_rows import BlobRows
from pds.replication.copies.blobs import BlobCopier
from pds.replication.errors import ReplicaUnavailable
from tests.clock import Clock
from tests.pds.replication.copies.kit import (
    DAY_S,
    RETENTION_S,
    WatchedPlace,
    away,
    files_of,
    hide,
    make,
    put,
    put_blob,
    put_layer,
    settle,
)

ALICE = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
BOB = "did:web:localhost%3A3000"

Copier = Callable[[], BlobCopier]


@pytest.fixture
def blobs(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture
def rows(ledger: Database) -> BlobRows:
    return BlobRows(ledger)


@pytest.fixture
def copier(rows: BlobRows, blobs: Path, place: WatchedPlace, clock: Clock) -> Copier:
    return lambda: BlobCopier(blobs, rows, place, retention_s=RETENTION_S, clock=clock)


async def test_the_blobs_of_an_actor_are_copied(copier: Copier, blobs: Path, replica: Path) -> None:
    cids = [put_blob(blobs / BOB, data) for data in (b"one", b"two")]
    taken_down = put_blob(blobs / "quarantine" / BOB, b"three")
    put_blob(blobs / ALICE, b"of another")
    await copier().copy_blobs(BOB)
    assert files_of(replica) == {
        f"blobs/did:web:localhost=3A3000/{cids[0]}": b"one",
        f"blobs/did:web:localhost=3A3000/{cids[1]}": b"two",
        f"blobs/quarantine/did:web:localhost=3A3000/{taken_down}": b"three",
    }


async def test_an_actor_without_blobs_leaves_no_row(
    copier: Copier, blobs: Path, rows: BlobRows
) -> None:
    await copier().copy_blobs(ALICE)
    make(blobs)
    await copier().copy_blobs(ALICE)
    assert rows.directories(after_id=0, limit=9) == []


async def test_a_sweep_copies_everything_but_what_is_no_blob(
    copier: Copier, blobs: Path, replica: Path
) -> None:
    cid = put_blob(blobs / ALICE, b"one")
    layer = put_layer(blobs, b"layer")
    put(blobs / "tempt" / ALICE / ("a" * 52), b"unfinished")
    put(blobs / "oci/uploads/x/data", b"unfinished")
    put(blobs / ALICE / ".0123.part", b"unfinished")
    put(blobs / ALICE / "README", b"no blob")
    put(blobs / "lost+found" / cid, b"no account")
    swept = copier()
    await swept.sweep()
    assert files_of(replica) == {f"blobs/{ALICE}/{cid}": b"one", f"blobs/{layer}": b"layer"}
    assert (swept.progress.copied, swept.progress.copied_bytes) == (2, 8)
    assert (swept.progress.waiting, swept.progress.waiting_bytes) == (0, 0)


async def test_what_was_copied_is_not_copied_again(
    copier: Copier, blobs: Path, replica: Path
) -> None:
    cid = put_blob(blobs / ALICE, b"one")
    await copier().sweep()
    (replica / "blobs" / ALICE / cid).unlink()
    await copier().sweep()
    put_blob(blobs / ALICE, b"two")
    settle(blobs)
    again = copier()
    await again.sweep()
    assert again.progress.copied == 1


async def test_a_directory_that_has_not_changed_is_not_listed(
    copier: Copier, blobs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_blob(blobs / ALICE, b"one")
    await copier().sweep()
    monkeypatch.setattr(blob_directories, "list_digests", None)
    idle = copier()
    await idle.sweep()
    await idle.copy_blobs(ALICE)
    assert idle.error is None
    assert len(idle.problems) == 0


async def test_a_directory_is_listed_again_after_a_day(
    copier: Copier, blobs: Path, replica: Path, clock: Clock
) -> None:
    put_blob(blobs / ALICE, b"one")
    await copier().sweep()
    then_ns = (blobs / ALICE).stat().st_mtime_ns
    cid = put_blob(blobs / ALICE, b"two")
    os.utime(blobs / ALICE, ns=(then_ns, then_ns))
    await copier().sweep()
    assert f"blobs/{ALICE}/{cid}" not in files_of(replica)
    clock.now_s += DAY_S + 1
    await copier().sweep()
    assert f"blobs/{ALICE}/{cid}" in files_of(replica)


async def test_a_directory_that_has_just_changed_is_listed_again(
    copier: Copier, blobs: Path, replica: Path
) -> None:
    put_blob(blobs / ALICE, b"one")
    (blobs / ALICE / "new").touch()
    await copier().sweep()
    then_ns = (blobs / ALICE).stat().st_mtime_ns
    # The clocks of file systems tick every few milliseconds only.
    cid = put_blob(blobs / ALICE, b"two")
    os.utime(blobs / ALICE, ns=(then_ns, then_ns))
    await copier().sweep()
    assert f"blobs/{ALICE}/{cid}" in files_of(replica)


async def test_many_blobs_are_compared_page_by_page(
    copier: Copier, blobs: Path, replica: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    monkeypatch.setattr(blob_comparison, "_PAGE", 7)
    cids = {put_blob(blobs / ALICE, bytes([i])) for i in range(40)}
    await copier().sweep()
    assert {path.name for path in (replica / "blobs" / ALICE).iterdir()} == cids
    gone = sorted(cids)[::3]
    for cid in gone:
        (blobs / ALICE / cid).unlink()
    new = {put_blob(blobs / ALICE, bytes([i])) for i in range(100, 120)}
    swept = copier()
    await swept.sweep()
    clock.now_s += RETENTION_S + 1
    await swept.sweep()
    left = {path.name for path in (replica / "blobs" / ALICE).iterdir()}
    assert left == (cids | new) - set(gone)
    assert (swept.progress.copied, swept.progress.removed) == (20, len(gone))


async def test_a_deleted_blob_stays_for_the_retention(
    copier: Copier, blobs: Path, replica: Path, clock: Clock
) -> None:
    cid, other = (put_blob(blobs / ALICE, data) for data in (b"one", b"two"))
    await copier().sweep()
    (blobs / ALICE / cid).unlink()
    await copier().sweep()
    clock.now_s += RETENTION_S - 60
    await copier().sweep()
    assert len(files_of(replica)) == 2
    clock.now_s += 120
    await copier().sweep()
    assert list(files_of(replica)) == [f"blobs/{ALICE}/{other}"]


async def test_the_blobs_of_a_deleted_account_go_after_the_retention(
    copier: Copier, blobs: Path, replica: Path, rows: BlobRows, clock: Clock
) -> None:
    kept = put_blob(blobs / BOB, b"one")
    cid = put_blob(blobs / ALICE, b"two")
    await copier().sweep()
    (blobs / ALICE / cid).unlink()
    (blobs / ALICE).rmdir()
    await copier().sweep()
    clock.now_s += RETENTION_S + 1
    await copier().sweep()
    assert list(files_of(replica)) == [f"blobs/did:web:localhost=3A3000/{kept}"]
    await copier().sweep()
    assert [each.path for _, each in rows.directories(after_id=0, limit=9)] == [BOB]


async def test_a_blob_that_returns_within_the_retention_stays(
    copier: Copier, blobs: Path, replica: Path, clock: Clock
) -> None:
    cid = put_blob(blobs / ALICE, b"one")
    put_blob(blobs / ALICE, b"two")
    await copier().sweep()
    (blobs / ALICE / cid).unlink()
    await copier().sweep()
    put_blob(blobs / ALICE, b"one")
    clock.now_s += RETENTION_S + 1
    again = copier()
    await again.sweep()
    assert (again.progress.copied, again.progress.removed) == (0, 0)
    assert len(files_of(replica)) == 2


async def test_a_blob_that_returns_after_the_retention_is_there_again(
    copier: Copier, blobs: Path, replica: Path, rows: BlobRows, clock: Clock
) -> None:
    cid = put_blob(blobs / ALICE, b"one")
    put_blob(blobs / ALICE, b"two")
    await copier().sweep()
    (blobs / ALICE / cid).unlink()
    await copier().sweep()
    clock.now_s += RETENTION_S + 1
    await copier().sweep()
    assert len(files_of(replica)) == 1
    put_blob(blobs / ALICE, b"one")
    settle(blobs)
    await copier().sweep()
    assert f"blobs/{ALICE}/{cid}" in files_of(replica)


async def test_a_blob_moves_into_quarantine_and_back(
    copier: Copier, blobs: Path, replica: Path, clock: Clock
) -> None:
    cid = put_blob(blobs / ALICE, b"one")
    put_blob(blobs / ALICE, b"two")
    here, there = f"blobs/{ALICE}/{cid}", f"blobs/quarantine/{ALICE}/{cid}"
    await copier().copy_blobs(ALICE)
    quarantine = blobs / "quarantine" / ALICE
    quarantine.mkdir(parents=True)
    (blobs / ALICE / cid).rename(quarantine / cid)
    await copier().copy_blobs(ALICE)
    assert {here, there} <= files_of(replica).keys()
    clock.now_s += RETENTION_S + 1
    await copier().sweep()
    assert here not in files_of(replica)
    (quarantine / cid).rename(blobs / ALICE / cid)
    await copier().copy_blobs(ALICE)
    clock.now_s += RETENTION_S + 1
    await copier().sweep()
    assert here in files_of(replica)
    assert there not in files_of(replica)


@pytest.mark.parametrize("is_there", [True, False])
async def test_nothing_is_removed_while_the_disk_is_not_mounted(
    copier: Copier, blobs: Path, replica: Path, clock: Clock, *, is_there: bool
) -> None:
    put_blob(blobs / ALICE, b"one")
    swept = copier()
    await swept.sweep()
    hide(blobs)
    if is_there:
        make(blobs)
    for _ in range(2):
        await swept.sweep()
        clock.now_s += RETENTION_S + DAY_S
    assert len(files_of(replica)) == 1
    [problem] = swept.problems.first(9)
    assert "is its disk mounted?" in problem


async def test_a_server_without_blobs_has_no_problem(copier: Copier, blobs: Path) -> None:
    swept = copier()
    await swept.sweep()
    make(blobs)
    await swept.sweep()
    assert swept.problems.first(9) == ()


async def test_a_damaged_blob_is_named_and_not_copied(
    copier: Copier, blobs: Path, replica: Path
) -> None:
    good, bad = (put_blob(blobs / ALICE, data) for data in (b"one", b"two"))
    put(blobs / ALICE / bad, b"")
    swept = copier()
    await swept.sweep()
    await swept.sweep()
    assert list(files_of(replica)) == [f"blobs/{ALICE}/{good}"]
    assert swept.progress.waiting == 0
    [problem] = swept.problems.first(9)
    assert str(blobs / ALICE / bad) in problem
    put_blob(blobs / ALICE, b"two")
    await swept.sweep()
    assert len(files_of(replica)) == 2
    assert swept.problems.first(9) == ()


async def test_what_is_waiting_is_told_while_the_replica_is_away(
    copier: Copier, blobs: Path, replica: Path
) -> None:
    for data in (b"one", b"three"):
        put_blob(blobs / ALICE, data)
    swept = copier()
    with away(replica), pytest.raises(ReplicaUnavailable):
        await swept.sweep()
    assert (swept.progress.waiting, swept.progress.waiting_bytes) == (2, 8)
    await swept.sweep()
    assert (swept.progress.waiting, swept.progress.copied) == (0, 2)


async def test_noticed_blobs_are_copied_after_the_replica_was_away(
    copier: Copier,
    place: WatchedPlace,
    blobs: Path,
    replica: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    failed, back = asyncio.Event(), asyncio.Event()

    async def wait(_: object) -> None:
        failed.set()
        await back.wait()

    monkeypatch.setattr("pds.replication.copies.pace.BackOff.wait", wait)
    running = copier()
    task = asyncio.create_task(running.run())
    with away(replica):
        put_blob(blobs / ALICE, b"one")
        running.notice(ALICE)
        await failed.wait()
        assert running.error is not None
    back.set()
    await place.has_taken.wait()
    async with asyncio.timeout(20):
        while running.error is not None:  # noqa: ASYNC110 (nothing tells)
            await asyncio.sleep(0)
    task.cancel()
    assert len(files_of(replica)) == 1


async def test_a_new_ledger_learns_what_the_replica_has(
    copier: Copier, blobs: Path, replica: Path, ledger: Database, rows: BlobRows, clock: Clock
) -> None:
    layer = put_layer(blobs, b"layer")
    taken_down = put_blob(blobs / "quarantine" / BOB, b"three")
    cut_off, gone = (put_blob(blobs / BOB, data) for data in (b"one", b"two"))
    await copier().sweep()
    prefix = "blobs/did:web:localhost=3A3000"
    (replica / prefix / cut_off).write_bytes(b"o")
    (blobs / BOB / gone).unlink()
    (replica / "blobs/oci/elsewhere").write_bytes(b"not ours")
    ledger.script("DELETE FROM blob_copy; DELETE FROM blob_directory")
    again = copier()
    await again.learn()
    await again.sweep()
    assert again.progress.copied == 1
    assert files_of(replica)[f"{prefix}/{cut_off}"] == b"one"
    clock.now_s += RETENTION_S + 1
    await again.sweep()
    assert sorted(files_of(replica)) == sorted(
        [
            f"blobs/{layer}",
            f"blobs/quarantine/did:web:localhost=3A3000/{taken_down}",
            f"{prefix}/{cut_off}",
            "blobs/oci/elsewhere",
        ]
    )


async def test_what_the_replica_has_is_learned_to_the_end_after_an_outage(
    copier: Copier,
    blobs: Path,
    ledger: Database,
    place: WatchedPlace,
    rows: BlobRows,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(blob_adoption, "_BATCH", 1)
    for did in (ALICE, BOB):
        put_blob(blobs / did, did.encode())
    await copier().sweep()
    ledger.script("DELETE FROM blob_copy; DELETE FROM blob_directory")
    place.listed_until_away = 1
    with pytest.raises(ReplicaUnavailable):
        await copier().learn()
    place.listed_until_away = None
    again = copier()
    await again.learn()
    await again.sweep()
    assert again.progress.copied == 0
    assert len(rows.directories(after_id=0, limit=9)) == 2
    # Once is enough: a listing of all blobs takes long.
    place.listed_until_away = 0
    await copier().learn()


async def test_noticed_blobs_are_copied_before_a_stop(
    copier: Copier, blobs: Path, replica: Path
) -> None:
    cid = put_blob(blobs / ALICE, b"one")
    stopping = copier()
    stopping.notice(ALICE)
    await stopping.finish()
    assert list(files_of(replica)) == [f"blobs/{ALICE}/{cid}"]


async def test_a_copy_that_a_stop_cuts_off_is_made_before_the_end(
    copier: Copier, blobs: Path, replica: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cid = put_blob(blobs / ALICE, b"one")
    stopping = copier()
    has_begun = asyncio.Event()

    async def hang(_: str) -> None:
        has_begun.set()
        await asyncio.Event().wait()

    with monkeypatch.context() as patch:
        patch.setattr(stopping, "copy_blobs", hang)
        following = asyncio.create_task(stopping._follow())
        stopping.notice(ALICE)
        await has_begun.wait()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    await stopping.finish()
    assert list(files_of(replica)) == [f"blobs/{ALICE}/{cid}"]
