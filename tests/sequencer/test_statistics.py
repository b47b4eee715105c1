"""What a sequencer counts while it works, for operators to watch."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path

import pytest

from database.opening import open_database
from sequencer.outbox import ConsumerTooSlow, subscribe
from sequencer.sequencer import Sequencer
from sequencer.subscriptions import Position
from tests.sequencer.samples import commit_event, identity_event, take, turn


def positions(sequencer: Sequencer) -> list[tuple[int, bool]]:
    return sorted((at.seq, at.live) for at in sequencer.subscriptions.positions)


async def test_events_are_counted_by_type_once_they_are_committed(sequencer: Sequencer) -> None:
    before = sequencer.write_counts.committed
    appended = sequencer.append(commit_event(1), commit_event(2), identity_event(1))
    assert sequencer.waiting_events == 3
    assert sequencer.events_by_type == {}
    await appended
    assert sequencer.waiting_events == 0
    assert sequencer.events_by_type == {"append": 2, "identity": 1}
    assert sequencer.write_counts.committed == before + 1


async def test_a_busy_log_is_counted(sequencer: Sequencer, tmp_path: Path) -> None:
    other = open_database(sequencer.log._db.path)
    with other.transaction():
        appended = sequencer.append(commit_event(1))
        await turn()
        await turn()
        assert sequencer.write_counts.busy == 1
        assert sequencer.waiting_events == 1
    await appended
    other.close()


async def test_subscribers_are_known_with_their_places(sequencer: Sequencer) -> None:
    await sequencer.append(*(commit_event(n) for n in range(400)))
    assert positions(sequencer) == []
    async with (
        aclosing(subscribe(sequencer, 0, max_buffer=100)) as behind,
        aclosing(subscribe(sequencer, 390, max_buffer=100)) as near,
    ):
        await take(behind, 3)
        await take(near, 5)
        assert positions(sequencer) == [(3, False), (395, True)]
        await take(behind, 360)
        assert positions(sequencer) == [(363, True), (395, True)]
    assert positions(sequencer) == []


async def test_subscribers_that_were_too_slow_are_counted_and_gone(sequencer: Sequencer) -> None:
    await sequencer.append(commit_event(0))
    frames = subscribe(sequencer, 0, max_buffer=2)
    await take(frames, 1)
    for n in range(5):
        await sequencer.append(commit_event(n))
    with pytest.raises(ConsumerTooSlow):
        await take(frames, 1)
    assert sequencer.subscriptions.cut_off == 1
    assert sequencer.subscriptions.positions == set()


def test_two_subscribers_at_one_place_are_two() -> None:
    assert len({Position(1, live=True), Position(1, live=True)}) == 2
