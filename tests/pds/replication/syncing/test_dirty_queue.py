"""The queue of dirty actors: each handed out once, and no change lost on the way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from database.errors import DatabaseBusy
from database.opening import open_database
from pds.replication.ledger.ledger import Ledger
from pds.replication.ledger.rows import DirtyActor
from pds.replication.syncing.dirty_queue import DirtyQueue
from tests.clock import Clock
from tests.pds.replication.ledger.rows import row_of
from tests.pds.replication.small_server import did_of

A, B = did_of(1), did_of(2)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger.open(tmp_path / "replication.sqlite")
    yield ledger
    ledger.close()


@pytest.fixture
def earliest() -> dict[str, int]:
    return {}


@pytest.fixture
def queue(ledger: Ledger, clock: Clock, earliest: dict[str, int]) -> DirtyQueue:
    return DirtyQueue(ledger, earliest_ms=lambda did: earliest.get(did, 0), clock=clock)


def take(queue: DirtyQueue) -> DirtyActor:
    actor = queue.take()
    assert actor is not None
    return actor


async def test_each_is_handed_out_once_until_its_result_is_written(queue: DirtyQueue) -> None:
    await queue.mark({A: 900_000})
    actor = take(queue)
    assert queue.take() is None
    queue.settle(actor, txid=3, signature=7)
    assert queue.take() is None
    await queue.flush()
    assert queue.take() is None
    await queue.mark({A: 1_000_000})
    assert take(queue).did == A


async def test_a_change_during_the_sync_is_synced_again(queue: DirtyQueue, ledger: Ledger) -> None:
    await queue.mark({A: 900_000})
    actor = take(queue)
    await queue.mark({A: 999_000})
    queue.settle(actor, txid=3, signature=7)
    await queue.flush()
    assert take(queue).did == A
    assert row_of(ledger, A).txid == 3


async def test_a_change_before_the_result_is_written_is_synced_again(queue: DirtyQueue) -> None:
    await queue.mark({A: 900_000})
    queue.settle(take(queue), txid=3, signature=7)
    await queue.mark({A: 1_000_000})
    await queue.flush()
    assert take(queue).did == A


async def test_a_change_of_one_that_waits_needs_no_second_sync(queue: DirtyQueue) -> None:
    await queue.mark({A: 900_000, B: 900_001})
    first = take(queue)
    await queue.mark({B: 950_000})
    queue.settle(first, txid=3, signature=7)
    queue.settle(take(queue), txid=3, signature=7)
    await queue.flush()
    assert queue.take() is None


async def test_a_failure_comes_back_later(queue: DirtyQueue, clock: Clock) -> None:
    await queue.mark({A: 900_000})
    queue.fail(take(queue), "no", after_s=5.0)
    await queue.flush()
    assert queue.take() is None
    clock.now_s += 5.0
    assert take(queue).failures == 1


async def test_one_that_is_open_waits_for_its_time(
    queue: DirtyQueue, clock: Clock, earliest: dict[str, int]
) -> None:
    earliest[A] = 1_000_500
    await queue.mark({A: 1_000_000})
    assert queue.take() is None
    clock.now_s += 0.5
    assert take(queue).did == A


async def test_the_cursor_moves_with_the_marks(queue: DirtyQueue, ledger: Ledger) -> None:
    await queue.mark({did_of(number): 1 for number in range(1_200)}, cursor=77)
    assert ledger.state.cursor == 77
    assert ledger.actors.counts().dirty == 1_200
    await queue.mark({}, cursor=78)
    assert ledger.state.cursor == 78


async def test_results_wait_while_the_ledger_cannot_be_written(
    queue: DirtyQueue, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("database.retry.DELAYS_MS", (1, 1))
    await queue.mark({A: 900_000})
    queue.settle(take(queue), txid=3, signature=7)
    other = open_database(ledger.db.path)
    with other.transaction():
        with pytest.raises(DatabaseBusy):
            await queue.flush()
        assert queue.take() is None
    other.close()
    await queue.flush()
    assert ledger.actors.counts().dirty == 0


async def test_what_closing_found_goes_with_the_result(queue: DirtyQueue, ledger: Ledger) -> None:
    await queue.mark({A: 900_000})
    queue.settle(take(queue), txid=3, signature=7)
    await queue.note_closed(A, txid=4, signature=8)
    await queue.flush()
    row = row_of(ledger, A)
    assert (row.txid, row.dirty_since_ms) == (4, None)


async def test_a_deleted_one_that_changed_again_is_looked_at_again(
    queue: DirtyQueue, ledger: Ledger
) -> None:
    await queue.mark({A: 900_000, B: 900_000})
    first, second = take(queue), take(queue)
    await queue.mark({second.did: 999_000})
    await queue.forget_deleted(first.did)
    await queue.forget_deleted(second.did)
    assert take(queue).did == second.did
    assert ledger.actors.counts().deleted == 1


async def test_memory_has_only_those_whose_turn_it_is(queue: DirtyQueue) -> None:
    await queue.mark({did_of(number): number for number in range(3_000)})
    taken = [take(queue) for _ in range(100)]
    assert [actor.did for actor in taken] == [did_of(number) for number in range(100)]
    assert len(queue._taken) < 400


async def test_a_clock_set_back_keeps_nobody_waiting(queue: DirtyQueue, clock: Clock) -> None:
    await queue.mark({A: 900_000})
    clock.now_s -= 500
    assert queue.take() is None
    await queue.after_clock_jump()
    assert take(queue).did == A


async def test_lag_is_that_of_changes_not_of_first_copies(queue: DirtyQueue, clock: Clock) -> None:
    await queue.add([(A, 5)])
    await queue.mark({B: 998_000})
    for _ in range(2):
        queue.settle(take(queue), txid=1, signature=1)
    lag = queue.lag.status()
    assert (lag.changes, lag.p99_s) == (1, 2.0)
