"""Subscriptions: cursors, the step from the log to live frames, slow consumers."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import pytest

from database.opening import open_database
from sequencer.frames import info_frame
from sequencer.log import PAGE_BYTES
from sequencer.outbox import PAGE, ConsumerTooSlow, FutureCursor, subscribe
from sequencer.ring import FrameRing
from sequencer.sequencer import Sequencer
from tests.sequencer.samples import (
    DID,
    OTHER_DID,
    Clock,
    commit_event,
    identity_event,
    parse_frame,
    seq_of,
    take,
    turn,
)

OUTDATED = info_frame("OutdatedCursor", "Requested cursor exceeded limit. Possibly missing events")


async def append_many(sequencer: Sequencer, count: int, *, size: int = 10) -> None:
    await sequencer.append(*(commit_event(n, block_bytes=size) for n in range(count)))


async def seqs_until(frames: AsyncGenerator[bytes, None], last: int) -> list[int]:
    """Read frames up to seq `last`; return their seqs."""
    seqs = []
    async with aclosing(frames):
        async for message in frames:
            seqs.append(seq_of(message))
            if seqs[-1] >= last:
                break
    return seqs


async def test_without_a_cursor_only_later_events_are_sent(sequencer: Sequencer) -> None:
    await append_many(sequencer, 3)
    frames = subscribe(sequencer, None)
    await append_many(sequencer, 2)
    assert [seq_of(message) for message in await take(frames, 2)] == [4, 5]
    await frames.aclose()


@pytest.mark.parametrize("cursor", [0, -1, -(2**70)])
async def test_cursor_zero_or_negative_starts_at_the_beginning(
    sequencer: Sequencer, cursor: int
) -> None:
    await append_many(sequencer, 3)
    assert await seqs_until(subscribe(sequencer, cursor), 3) == [1, 2, 3]


async def test_cursor_is_exclusive(sequencer: Sequencer) -> None:
    await append_many(sequencer, 5)
    assert await seqs_until(subscribe(sequencer, 3), 5) == [4, 5]


async def test_cursor_at_the_newest_event_waits_for_the_next(sequencer: Sequencer) -> None:
    await append_many(sequencer, 3)
    frames = subscribe(sequencer, 3)
    waiting = asyncio.ensure_future(anext(frames))
    await turn()
    assert not waiting.done()
    await append_many(sequencer, 1)
    assert seq_of(await waiting) == 4
    await frames.aclose()


async def test_cursor_beyond_the_newest_event_is_refused(sequencer: Sequencer) -> None:
    with pytest.raises(FutureCursor):
        subscribe(sequencer, 1)
    await append_many(sequencer, 3)
    with pytest.raises(FutureCursor) as refused:
        subscribe(sequencer, 4)
    assert (refused.value.error, refused.value.message) == ("FutureCursor", "Cursor in the future.")


async def test_outdated_cursor_is_told_so_and_starts_inside_the_window(
    sequencer: Sequencer, clock: Clock
) -> None:
    await append_many(sequencer, 3)
    clock.ms += 60_000
    await append_many(sequencer, 2)
    frames = subscribe(sequencer, 0, backfill_limit_ms=30_000)
    assert await anext(frames) == OUTDATED
    assert await seqs_until(frames, 5) == [4, 5]


async def test_outdated_cursor_of_a_quiet_log_goes_live(sequencer: Sequencer, clock: Clock) -> None:
    await append_many(sequencer, 3)
    clock.ms += 60_000
    frames = subscribe(sequencer, 1, backfill_limit_ms=30_000)
    assert await anext(frames) == OUTDATED
    await append_many(sequencer, 1)
    assert await seqs_until(frames, 4) == [4]


async def test_old_cursor_is_fine_when_no_event_was_missed(
    sequencer: Sequencer, clock: Clock
) -> None:
    await append_many(sequencer, 3)
    clock.ms += 60_000
    await append_many(sequencer, 1)
    assert await seqs_until(subscribe(sequencer, 3, backfill_limit_ms=30_000), 4) == [4]


async def test_log_and_ring_give_the_same_frames(log_path: Path, clock: Clock) -> None:
    before = Sequencer(log_path, now_ms=clock)
    live = subscribe(before, None)
    await append_many(before, 20, size=500)
    await before.append(identity_event())
    live_frames = await take(live, 21)
    await before.close()

    reopened = Sequencer(log_path, now_ms=clock)
    stored = subscribe(reopened, 0)
    assert await take(stored, 21) == live_frames
    await stored.aclose()
    await reopened.close()


async def test_subscribers_share_the_frame_objects(sequencer: Sequencer) -> None:
    one, two = subscribe(sequencer, None), subscribe(sequencer, 0)
    await append_many(sequencer, 1)
    assert await anext(one) is await anext(two)
    await one.aclose()
    await two.aclose()


async def test_fifty_subscribers_get_every_event_in_order(sequencer: Sequencer) -> None:
    readers = [asyncio.ensure_future(seqs_until(subscribe(sequencer, 0), 300)) for _ in range(50)]
    for _ in range(100):
        await append_many(sequencer, 3)
    for reader in readers:
        assert await reader == list(range(1, 301))


@pytest.mark.parametrize("seed", range(8))
async def test_backfill_meets_live_without_gap_or_duplicate(
    sequencer: Sequencer, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    chance = random.Random(seed)
    monkeypatch.setattr("sequencer.outbox.PAGE", 7)
    # A small ring, so that readers drop out of it and come back.
    sequencer.ring = FrameRing(0, max_frames=chance.randrange(1, 20), max_bytes=1 << 20)
    total = 600

    async def write() -> None:
        while sequencer.current_seq < total:
            count = min(chance.randrange(1, 5), total - sequencer.current_seq)
            await append_many(sequencer, count)
            for _ in range(chance.randrange(4)):
                await turn()

    async def read() -> None:
        while sequencer.current_seq < chance.randrange(total // 2):
            await turn()
        start = chance.randrange(sequencer.current_seq + 1)
        expected = start + 1
        async with aclosing(subscribe(sequencer, start, max_buffer=total)) as frames:
            async for message in frames:
                assert seq_of(message) == expected
                expected += 1
                if expected > total:
                    return
                if chance.random() < 0.1:
                    for _ in range(chance.randrange(12)):
                        await turn()

    await asyncio.gather(write(), *(read() for _ in range(10)))


async def test_consumer_that_falls_behind_the_buffer_is_dropped(sequencer: Sequencer) -> None:
    frames = subscribe(sequencer, None, max_buffer=10)
    await append_many(sequencer, 1)
    assert seq_of(await anext(frames)) == 1
    for _ in range(11):
        await append_many(sequencer, 1)
    with pytest.raises(ConsumerTooSlow) as dropped:
        await anext(frames)
    assert (dropped.value.error, dropped.value.message) == (
        "ConsumerTooSlow",
        "Stream consumer too slow",
    )


async def test_consumer_that_caught_up_from_the_log_is_dropped_like_any_other(
    sequencer: Sequencer,
) -> None:
    await append_many(sequencer, 30)
    sequencer.ring.clear()
    frames = subscribe(sequencer, 0, max_buffer=10)
    await take(frames, 30)
    for _ in range(12):
        await append_many(sequencer, 1)
        if sequencer.current_seq == 31:
            await anext(frames)
    with pytest.raises(ConsumerTooSlow):
        await anext(frames)


async def test_consumer_within_the_buffer_is_kept(sequencer: Sequencer) -> None:
    frames = subscribe(sequencer, None, max_buffer=10)
    await append_many(sequencer, 1)
    await anext(frames)
    for _ in range(10):
        await append_many(sequencer, 1)
    assert await seqs_until(frames, 11) == list(range(2, 12))


async def test_consumer_in_backfill_is_never_too_slow(sequencer: Sequencer) -> None:
    await append_many(sequencer, 50)
    frames = subscribe(sequencer, 0, max_buffer=10)
    await anext(frames)
    await append_many(sequencer, 50)
    assert await seqs_until(frames, 100) == list(range(2, 101))


async def test_burst_of_one_transaction_does_not_drop_a_waiting_consumer(
    sequencer: Sequencer,
) -> None:
    reader = asyncio.ensure_future(seqs_until(subscribe(sequencer, None, max_buffer=10), 40))
    await turn()
    await append_many(sequencer, 40)
    assert await reader == list(range(1, 41))


async def test_stalled_consumer_delays_neither_writers_nor_others(sequencer: Sequencer) -> None:
    stalled = subscribe(sequencer, None, max_buffer=500)
    quick = asyncio.ensure_future(seqs_until(subscribe(sequencer, None), 200))
    await turn()
    await append_many(sequencer, 1)
    await anext(stalled)
    for _ in range(199):
        await append_many(sequencer, 1)
    assert await quick == list(range(1, 201))
    assert await seqs_until(stalled, 200) == list(range(2, 201))


async def test_long_backfill_lets_other_tasks_run(sequencer: Sequencer) -> None:
    await append_many(sequencer, 2_000)
    sequencer.ring.clear()
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await turn()

    counter = asyncio.ensure_future(count_turns())
    await seqs_until(subscribe(sequencer, 0), 2_000)
    counter.cancel()
    assert turns >= 2_000 // 32


async def test_only_a_backfill_takes_its_turn_with_others(sequencer: Sequencer) -> None:
    await append_many(sequencer, 2_000)
    sequencer.ring.clear()
    slices = 0

    async def next_slice() -> None:
        nonlocal slices
        slices += 1

    frames = subscribe(sequencer, 0, next_slice=next_slice)
    assert len(await take(frames, 2_000)) == 2_000
    assert 2_000 // PAGE - 10 <= slices <= 2_000 // PAGE + 1, "one for each page"
    slices = 0
    waiting = asyncio.ensure_future(anext(frames))
    await turn()
    await append_many(sequencer, 200)
    await waiting
    assert len(await take(frames, 199)) == 199
    assert slices == 0, "whoever has caught up waits for nobody"
    await frames.aclose()


@pytest.mark.parametrize("size", [10, 50_000])
async def test_a_backfill_that_finds_its_frames_in_the_ring_takes_turns_as_well(
    sequencer: Sequencer, size: int
) -> None:
    await append_many(sequencer, 200, size=size)
    slices = 0

    async def next_slice() -> None:
        nonlocal slices
        slices += 1

    frames = subscribe(sequencer, 0, next_slice=next_slice)
    assert len(await take(frames, 200)) == 200
    assert slices >= max(200 // PAGE, 200 * size // PAGE_BYTES // 2)
    await frames.aclose()


async def test_raising_the_log_cuts_nobody_off(sequencer: Sequencer) -> None:
    await append_many(sequencer, 5)
    waiting, behind, between = (subscribe(sequencer, cursor, max_buffer=4) for cursor in (5, 3, 3))
    next_event = asyncio.create_task(anext(waiting))
    assert [seq_of(message) for message in await take(behind, 1)] == [4]
    assert [seq_of(message) for message in await take(between, 2)] == [4, 5]
    await turn()
    await sequencer.raise_to(1_000)
    await append_many(sequencer, 1)
    assert seq_of(await next_event) == 1_001
    assert [seq_of(message) for message in await take(behind, 2)] == [5, 1_001]
    assert [seq_of(message) for message in await take(between, 1)] == [1_001]
    # From here on they are live as before.
    await append_many(sequencer, 1)
    assert [seq_of(message) for message in await take(behind, 1)] == [1_002]
    await append_many(sequencer, 5)
    with pytest.raises(ConsumerTooSlow):
        await anext(behind)
    for frames in (waiting, between):
        await frames.aclose()


async def test_a_consumer_from_beyond_the_log_is_served_once_it_is_raised(
    sequencer: Sequencer,
) -> None:
    await append_many(sequencer, 5)
    with pytest.raises(FutureCursor):
        subscribe(sequencer, 900)
    await sequencer.raise_to(900)
    frames = subscribe(sequencer, 900)
    await append_many(sequencer, 1)
    assert [seq_of(message) for message in await take(frames, 1)] == [901]
    await frames.aclose()


async def test_deleted_events_are_not_sent_to_those_behind(sequencer: Sequencer) -> None:
    await sequencer.append(identity_event(did=OTHER_DID))
    await append_many(sequencer, 3)
    await sequencer.append(*(identity_event(did=OTHER_DID) for _ in range(3)))
    await sequencer.delete_events_of(OTHER_DID, keep_seq=0)
    frames = subscribe(sequencer, 0)
    assert [seq_of(message) for message in await take(frames, 3)] == [2, 3, 4]
    await append_many(sequencer, 1)
    assert await seqs_until(frames, 8) == [8]


async def test_events_written_by_another_process_are_not_missed(
    sequencer: Sequencer, log_path: Path
) -> None:
    reader = asyncio.ensure_future(seqs_until(subscribe(sequencer, 0), 4))
    await append_many(sequencer, 1)
    other = open_database(log_path)
    other.many(
        "INSERT INTO repo_seq (did, eventType, event, sequencedAt) VALUES (?, ?, ?, ?)",
        [(DID, "identity", identity_event().body(), "2027-01-15T08:00:00.000Z")] * 2,
    )
    other.close()
    await append_many(sequencer, 1)
    assert await reader == [1, 2, 3, 4]


async def test_event_types_of_old_logs_are_passed_over(
    sequencer: Sequencer, log_path: Path
) -> None:
    await append_many(sequencer, 3)
    other = open_database(log_path)
    other.run("UPDATE repo_seq SET eventType = 'tombstone' WHERE seq = 2")
    other.close()
    sequencer.ring.clear()
    assert await seqs_until(subscribe(sequencer, 0), 3) == [1, 3]


async def test_subscriptions_end_when_the_sequencer_closes(sequencer: Sequencer) -> None:
    frames = subscribe(sequencer, None)
    waiting = asyncio.ensure_future(anext(frames, b"end"))
    await turn()
    await sequencer.close()
    assert await waiting == b"end"


async def test_backfill_ends_when_the_sequencer_closes(sequencer: Sequencer) -> None:
    await append_many(sequencer, 30)
    sequencer.ring.clear()
    frames = subscribe(sequencer, 0)
    await anext(frames)
    await sequencer.close()
    assert [seq_of(message) async for message in frames] == list(range(2, 31))


async def test_leaving_subscriber_leaves_nothing_behind(sequencer: Sequencer) -> None:
    reader = asyncio.ensure_future(seqs_until(subscribe(sequencer, None), 1))
    await turn()
    assert len(sequencer.ring._waiters) == 1
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    assert not sequencer.ring._waiters


async def test_ring_is_bounded_in_bytes_and_the_log_fills_in(sequencer: Sequencer) -> None:
    sequencer.ring = FrameRing(0, max_frames=1_000, max_bytes=10_000)
    await append_many(sequencer, 20, size=1_000)
    assert sequencer.ring.find(1) is None
    assert sequencer.ring.find(20) is not None
    assert sequencer.ring._bytes <= 10_000
    assert sequencer.ring._bytes == sum(map(len, sequencer.ring._frames))
    assert await seqs_until(subscribe(sequencer, 0), 20) == list(range(1, 21))


async def test_frame_carries_the_seq_and_time_of_its_row(sequencer: Sequencer) -> None:
    await sequencer.append(identity_event(5))
    frames = subscribe(sequencer, 0)
    header, body = parse_frame(await anext(frames))
    assert header == {"t": "#identity", "op": 1}
    assert body == {
        "did": DID,
        "seq": 1,
        "time": "2027-01-15T08:00:00.000Z",
        "handle": "user-5.test",
    }
    await frames.aclose()
