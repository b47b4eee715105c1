"""The ledger: rows of actors, the order in which they are synced, and its own loss."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from database.errors import DatabaseError
from pds.replication.copies.blob_rows import BlobRows
from pds.replication.copies.key_rows import KeyKind, KeyRow, KeyRows
from pds.replication.copies.signature import Signature
from pds.replication.ledger.actor_rows import shard_of
from pds.replication.ledger.ledger import Ledger
from pds.replication.ledger.rows import Failed, Mark, Settled, SweptRow
from tests.pds.replication.ledger.rows import find_row, row_of

A, B, C = (f"did:plc:{letter * 24}" for letter in "abc")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger.open(tmp_path / "replication.sqlite")
    yield ledger
    ledger.close()


def due(ledger: Ledger, now_ms: int = 1_000, limit: int = 10) -> list[str]:
    return [actor.did for actor in ledger.actors.due(now_ms, limit=limit)]


def mark(ledger: Ledger, did: str, since_ms: int, turn_ms: int | None = None) -> None:
    ledger.actors.mark([Mark(did, since_ms, since_ms if turn_ms is None else turn_ms)])


def test_the_oldest_change_comes_first(ledger: Ledger) -> None:
    mark(ledger, A, 300)
    mark(ledger, B, 100)
    mark(ledger, C, 200)
    assert due(ledger) == [B, C, A]
    assert due(ledger, limit=2) == [B, C]


def test_a_second_change_keeps_the_place_of_the_first(ledger: Ledger) -> None:
    mark(ledger, A, 100)
    mark(ledger, B, 200)
    mark(ledger, A, 300)
    assert due(ledger) == [A, B]
    assert row_of(ledger, A).dirty_since_ms == 100


def test_nobody_is_due_before_the_time(ledger: Ledger) -> None:
    mark(ledger, A, 100, turn_ms=2_000)
    assert due(ledger) == []
    assert not ledger.actors.has_due(1_999)
    assert due(ledger, now_ms=2_000) == [A]
    assert ledger.actors.has_due(2_000)


def test_those_never_looked_at_come_last_and_the_newest_of_them_first(ledger: Ledger) -> None:
    ledger.actors.add([(A, 10), (B, 30)], now_ms=500)
    mark(ledger, C, 900)
    assert due(ledger) == [C, B, A]
    mark(ledger, A, 950)
    assert due(ledger) == [C, A, B]
    assert [actor.is_urgent for actor in ledger.actors.due(1_000, limit=3)] == [1, 1, 0]


def test_what_is_known_already_is_not_added(ledger: Ledger) -> None:
    mark(ledger, A, 100)
    ledger.actors.settle([Settled(A, 3, 200, 77)])
    ledger.actors.add([(A, 10)], now_ms=500)
    assert due(ledger) == []


def test_a_sync_makes_clean_and_counts_the_files(ledger: Ledger) -> None:
    mark(ledger, A, 100)
    ledger.actors.settle([Settled(A, 3, 200, 77)])
    mark(ledger, A, 300)
    ledger.actors.settle([Settled(A, 5, 400, 78)])
    row = row_of(ledger, A)
    assert (row.txid, row.synced_at_ms, row.dirty_since_ms, row.uncompacted) == (5, 400, None, 5)
    assert ledger.actors.in_shard(shard_of(A)) == {A: SweptRow(78, dirty=False, deleted=False)}


def test_a_change_during_the_sync_keeps_it_dirty(ledger: Ledger) -> None:
    mark(ledger, A, 100)
    ledger.actors.settle([Settled(A, 3, 200, 77, again_ms=150, turn_ms=1_150)])
    assert row_of(ledger, A).dirty_since_ms == 150
    assert due(ledger, now_ms=1_149) == []
    assert due(ledger, now_ms=1_150) == [A]


def test_a_failure_waits_and_is_forgotten_with_the_next_success(ledger: Ledger) -> None:
    mark(ledger, A, 100)
    ledger.actors.fail([Failed(A, 200, 5_000, "no such luck" * 100)])
    mark(ledger, A, 300)
    assert due(ledger, now_ms=4_999) == []
    assert due(ledger, now_ms=5_000) == [A]
    ((did, error),) = ledger.actors.failing(limit=5)
    assert did == A
    assert len(error) == 500
    ledger.actors.settle([Settled(A, 3, 6_000, 77)])
    assert ledger.actors.failing(limit=5) == []


def test_a_clock_that_was_set_back_keeps_nobody_waiting(ledger: Ledger) -> None:
    mark(ledger, A, 9_000_000)
    assert due(ledger) == []
    ledger.actors.hasten(1_000)
    assert due(ledger) == [A]


def test_a_deleted_actor_is_not_dirty_until_it_is_back(ledger: Ledger) -> None:
    mark(ledger, A, 100)
    ledger.actors.mark_deleted([A], now_ms=200)
    ledger.actors.mark_deleted([A], now_ms=300)
    assert due(ledger) == []
    assert row_of(ledger, A).deleted_at_ms == 200
    assert ledger.actors.deleted_before(199, limit=5) == []
    assert ledger.actors.deleted_before(200, limit=5) == [A]
    mark(ledger, A, 400)
    ledger.actors.settle([Settled(A, 9, 500, 1)])
    assert ledger.actors.deleted_before(1_000, limit=5) == []


def test_closing_tells_the_files_of_clean_actors_only(ledger: Ledger) -> None:
    mark(ledger, A, 100)
    ledger.actors.settle([Settled(A, 3, 200, 77)])
    ledger.actors.set_closed(A, txid=4, signature=78)
    assert row_of(ledger, A).txid == 4
    assert ledger.actors.in_shard(shard_of(A))[A].signature == 78
    mark(ledger, A, 300)
    ledger.actors.set_closed(A, txid=5, signature=79)
    assert row_of(ledger, A).txid == 4


def test_actors_with_many_files_or_old_ones_are_to_be_compacted(ledger: Ledger) -> None:
    for did, txid in ((A, 40), (B, 100), (C, 5)):
        mark(ledger, did, 100)
        ledger.actors.settle([Settled(did, txid, 200, 77)])
    assert ledger.actors.to_compact(1_000, at_least=32, limit=10) == [(B, 100), (A, 40)]
    ledger.actors.set_compacted(A, next_ms=None)
    ledger.actors.set_compacted(B, next_ms=2_000)
    assert ledger.actors.to_compact(1_000, at_least=32, limit=10) == []
    assert ledger.actors.to_compact(2_000, at_least=32, limit=10) == [(B, 0)]


def test_counts_are_of_all(ledger: Ledger) -> None:
    mark(ledger, A, 100)
    mark(ledger, B, 50)
    mark(ledger, C, 70)
    ledger.actors.settle([Settled(A, 3, 200, 77)])
    ledger.actors.fail([Failed(B, 200, 5_000, "no")])
    assert (ledger.actors.counts().rows, ledger.actors.counts().deleted) == (3, 0)
    ledger.actors.mark_deleted([C], now_ms=300)
    counts = ledger.actors.counts()
    assert (counts.rows, counts.dirty, counts.failing, counts.deleted) == (3, 1, 1, 1)
    assert counts.oldest_dirty_ms == 50
    ledger.actors.forget([C])
    assert ledger.actors.counts().rows == 2


async def test_another_replica_starts_anew(ledger: Ledger) -> None:
    await ledger.join_replica("file:///one", is_new=True, now_ms=50)
    mark(ledger, A, 100)
    ledger.actors.settle([Settled(A, 3, 200, 77)])
    ledger.actors.mark_deleted([B], now_ms=200)
    await ledger.join_replica("file:///one", is_new=False, now_ms=300)
    assert row_of(ledger, A).txid == 3
    await ledger.join_replica("file:///two", is_new=False, now_ms=400)
    assert (row_of(ledger, A).txid, row_of(ledger, A).dirty_since_ms) == (0, 400)
    assert find_row(ledger, B) is None


async def test_another_replica_has_none_of_the_copies(ledger: Ledger) -> None:
    """Whatever ends the change halfway, the next start makes all of it."""
    await ledger.join_replica("file:///one", is_new=True, now_ms=50)
    keys, blobs = KeyRows(ledger.db), BlobRows(ledger.db)
    blobs.set_complete()
    keys.put(KeyRow(KeyKind.ACTOR, A, Signature(32, 1, 2), b"digest", "clear"))
    ledger.db.script(
        "CREATE TEMP TRIGGER refusal BEFORE DELETE ON key_copy BEGIN"
        " SELECT RAISE(ABORT, 'refused'); END"
    )
    with pytest.raises(DatabaseError):
        await ledger.join_replica("file:///two", is_new=False, now_ms=100)
    ledger.db.run("DROP TRIGGER refusal")
    await ledger.join_replica("file:///two", is_new=False, now_ms=200)
    assert keys.find(KeyKind.ACTOR, A) is None
    assert not blobs.are_complete


async def test_a_failed_transaction_moves_no_cursor(ledger: Ledger) -> None:
    def fail() -> None:
        mark(ledger, A, 100)
        ledger.state.set_cursor(7)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await ledger.write(fail)
    assert ledger.state.cursor is None
    assert find_row(ledger, A) is None


def test_a_copy_is_another_server(tmp_path: Path) -> None:
    path, copy = tmp_path / "replication.sqlite", tmp_path / "copy.sqlite"
    ledger = Ledger.open(path)
    first = ledger.server_id
    ledger.db.checkpoint()
    ledger.close()
    again = Ledger.open(path)
    assert again.server_id == first
    again.close()
    shutil.copyfile(path, copy)
    copied = Ledger.open(copy)
    assert copied.server_id != first
    copied.close()


def test_a_damaged_ledger_is_put_aside(tmp_path: Path) -> None:
    path = tmp_path / "replication.sqlite"
    path.write_bytes(b"noise" * 5_000)
    ledger = Ledger.open(path)
    assert ledger.actors.counts().rows == 0
    ledger.close()
    (aside,) = tmp_path.glob("replication.sqlite.damaged-*")
    assert aside.read_bytes() == b"noise" * 5_000


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT did FROM actor WHERE urgent = 1 AND turn <= 5 ORDER BY turn LIMIT 9",
        "SELECT did FROM actor WHERE urgent = 0 AND turn IS NOT NULL ORDER BY turn DESC LIMIT 9",
        "SELECT min(dirtySinceMs) FROM actor WHERE dirtySinceMs IS NOT NULL",
        "SELECT count(*) FROM actor WHERE dirtySinceMs IS NOT NULL",
        "SELECT did FROM actor WHERE failures > 0 ORDER BY failures DESC LIMIT 9",
        "SELECT did FROM actor WHERE compactAtMs <= 5 ORDER BY compactAtMs LIMIT 9",
        "SELECT did FROM actor WHERE deletedAtMs <= 5 ORDER BY deletedAtMs LIMIT 9",
    ],
)
def test_questions_of_each_second_use_an_index_without_sorting(ledger: Ledger, sql: str) -> None:
    plan = " ".join(str(row[3]) for row in ledger.db.all(f"EXPLAIN QUERY PLAN {sql}"))
    assert "USING" in plan
    assert "INDEX actor_" in plan
    assert "TEMP B-TREE" not in plan
