"""Retention: which events go, what is kept of them, what subscribers are told."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path

from database.opening import open_database
from sequencer.events import AccountEvent, Event, IdentityEvent, SyncEvent
from sequencer.log import OldEvents
from sequencer.outbox import subscribe
from sequencer.retention import MIN_AGE_S, KeptEvents, Retention
from sequencer.sequencer import Sequencer
from sequencer.told import DELETED, Told, ToldState, collect
from tests.loop_blocks import loop_blocks
from tests.sequencer.samples import (
    DID,
    OTHER_DID,
    Clock,
    commit_event,
    identity_event,
    seq_of,
    take,
)
from tests.sequencer.test_outbox import OUTDATED, append_many, seqs_until

DAY_MS = 24 * 60 * 60 * 1000
DAY = KeptEvents(age_s=DAY_MS / 1000)


async def sweep(sequencer: Sequencer, log_path: Path, kept: KeptEvents = DAY) -> int:
    return await Retention(sequencer, log_path, kept, rest_s=0).sweep()


def seqs(sequencer: Sequencer) -> list[int]:
    return [event.seq for event in sequencer.log.read_after(0, 100_000)]


async def test_events_go_by_age_in_many_steps(
    sequencer: Sequencer, clock: Clock, log_path: Path
) -> None:
    await append_many(sequencer, 1_000)
    clock.ms += DAY_MS
    await append_many(sequencer, 3)
    assert await sweep(sequencer, log_path) == 0, "they are as old as they may be"
    clock.ms += 1
    assert await sweep(sequencer, log_path) == 1_000
    assert seqs(sequencer) == [1_001, 1_002, 1_003]
    assert await sweep(sequencer, log_path) == 0


async def test_the_newest_event_stays_so_no_seq_is_given_out_again(
    sequencer: Sequencer, clock: Clock, log_path: Path
) -> None:
    await append_many(sequencer, 3)
    clock.ms += 2 * DAY_MS
    assert await sweep(sequencer, log_path) == 2
    assert seqs(sequencer) == [3]
    assert await sequencer.append(identity_event()) == [4]


async def test_events_go_by_size_but_not_those_of_the_last_hour(
    sequencer: Sequencer, clock: Clock, log_path: Path
) -> None:
    kept = KeptEvents(size_bytes=1 << 20)
    await append_many(sequencer, 100, size=20_000)
    assert await sweep(sequencer, log_path, kept) == 0
    clock.ms += int(MIN_AGE_S * 1000) + 1
    deleted = await sweep(sequencer, log_path, kept)
    assert 50 < deleted < 60, "about half of two megabytes"
    assert await sweep(sequencer, log_path, kept) == 0


async def test_the_file_does_not_grow_while_events_come_and_go(
    sequencer: Sequencer, clock: Clock, log_path: Path
) -> None:
    sizes = []
    for _ in range(4):
        await append_many(sequencer, 200, size=5_000)
        clock.ms += 2 * DAY_MS
        await sweep(sequencer, log_path)
        with closing(open_database(log_path)) as db:
            sizes.append(db.value("PRAGMA page_count"))
    assert len(set(sizes[1:])) == 1


async def test_a_cursor_before_the_oldest_event_is_outdated(
    sequencer: Sequencer, clock: Clock, log_path: Path
) -> None:
    await append_many(sequencer, 3)
    clock.ms += 2 * DAY_MS
    await append_many(sequencer, 2)
    await sweep(sequencer, log_path)
    for cursor in (0, 2):
        frames = subscribe(sequencer, cursor)
        assert await anext(frames) == OUTDATED
        assert await seqs_until(frames, 5) == [4, 5]
    # This one has seen all that is gone.
    assert await seqs_until(subscribe(sequencer, 3), 5) == [4, 5]


async def test_a_subscriber_that_is_overtaken_while_it_reads_the_log_is_told_so(
    sequencer: Sequencer, clock: Clock, log_path: Path
) -> None:
    await append_many(sequencer, 2_000)
    frames = subscribe(sequencer, 0, backfill_limit_ms=10 * DAY_MS)
    assert seq_of(await anext(frames)) == 1
    clock.ms += 2 * DAY_MS
    await append_many(sequencer, 1)
    sequencer.ring.clear()
    await sweep(sequencer, log_path)
    rest = await take(frames, 33)
    assert rest.count(OUTDATED) == 1
    # It gets the rest of the page that it had begun.
    assert [seq_of(each) for each in rest if each != OUTDATED] == [*range(2, 33), 2_001]
    await frames.aclose()


async def test_what_deleted_events_told_is_known_as_before(
    sequencer: Sequencer, clock: Clock, log_path: Path
) -> None:
    await sequencer.append(
        IdentityEvent(DID, "old.test"),
        IdentityEvent(DID, "new.test"),
        IdentityEvent(DID),
        AccountEvent(DID, active=False, status="takendown"),
        commit_event(1),
        SyncEvent(DID, "3n2qm54vpxs2x", b"car"),
    )
    await sequencer.append(identity_event(7, did=OTHER_DID), AccountEvent(OTHER_DID, active=True))
    log = sequencer.log

    def known() -> list[object]:
        each = [(log.last_rev_of(did), log.last_state_of(did)) for did in (DID, OTHER_DID)]
        return [each, log.all_states(), log.all_handles()]

    before = known()
    assert before[0] == [
        ("3n2qm54vpxs2x", ToldState(active=False, status="takendown")),
        (None, ToldState(active=True)),
    ]
    clock.ms += 2 * DAY_MS
    await append_many(sequencer, 1)
    expected = known()
    assert await sweep(sequencer, log_path) == 8
    assert known() == expected
    await sequencer.append(AccountEvent(DID, active=True), IdentityEvent(DID, "newest.test"))
    assert log.last_state_of(DID) == log.all_states()[DID] == ToldState(active=True)
    assert log.all_handles()[DID] == "newest.test"
    clock.ms += 2 * DAY_MS
    await sequencer.append(identity_event(did=OTHER_DID))
    await sweep(sequencer, log_path)
    assert log.last_state_of(DID) == ToldState(active=True)
    assert log.all_handles()[DID] == "newest.test"
    assert log.last_rev_of(DID) == commit_event(0).rev


async def test_nothing_is_left_of_a_deleted_account_but_that_it_was_deleted(
    sequencer: Sequencer, clock: Clock, log_path: Path
) -> None:
    await sequencer.append(identity_event(1), commit_event(1), AccountEvent(DID, active=True))
    clock.ms += 2 * DAY_MS
    await append_many(sequencer, 1)
    await sweep(sequencer, log_path)
    (seq,) = await sequencer.append(AccountEvent(DID, active=False, status="deleted"))
    await sequencer.delete_events_of(DID, keep_seq=seq)
    assert sequencer.log.all_handles() == {}
    for _ in range(2):
        assert sequencer.log.last_state_of(DID) == DELETED
        assert sequencer.log.last_rev_of(DID) is None
        clock.ms += 2 * DAY_MS
        await sequencer.append(identity_event(did=OTHER_DID))
        await sweep(sequencer, log_path)
    assert [event.did for event in sequencer.log.read_after(0, 10)] == [OTHER_DID]


async def test_an_account_that_is_deleted_meanwhile_leaves_no_trace(sequencer: Sequencer) -> None:
    await sequencer.append(identity_event(1), commit_event(1), identity_event(did=OTHER_DID))
    found = OldEvents(2, 2, {DID: Told("rev", "user-1.test")})
    await sequencer.delete_events_of(DID, keep_seq=0)
    assert await sequencer.delete_oldest(found) == 0
    assert sequencer.log.all_handles() == {OTHER_DID: "user-0.test"}
    assert sequencer.log.deleted_seq() == 0


def test_a_did_that_was_deleted_and_came_back_has_told_what_it_told_since() -> None:
    events: list[Event] = [
        identity_event(1),
        AccountEvent(DID, active=False, status="deleted"),
        AccountEvent(DID, active=True),
    ]
    told = collect((event.did, event.event_type, event.body()) for event in events)
    assert told == {DID: Told(state=ToldState(active=True), is_all=True)}


async def test_steps_are_short_though_events_are_many_and_large(
    sequencer: Sequencer, clock: Clock, log_path: Path
) -> None:
    await append_many(sequencer, 3_000, size=2_000)
    await append_many(sequencer, 3, size=2_000_000)
    clock.ms += 2 * DAY_MS
    await append_many(sequencer, 1)
    retention = Retention(sequencer, log_path, DAY, rest_s=0)
    with loop_blocks() as blocks:
        assert await retention.sweep() == 3_003
    assert blocks.longest_ms < 20, blocks.where


async def test_nothing_is_deleted_while_the_log_is_checkpointed(
    sequencer: Sequencer, clock: Clock, log_path: Path
) -> None:
    await append_many(sequencer, 300)
    clock.ms += 2 * DAY_MS
    left = [True, True, False]
    seen: list[int] = []

    def is_checkpointing() -> bool:
        seen.append(retention.deleted)
        return left.pop(0) if left else False

    retention = Retention(sequencer, log_path, DAY, is_checkpointing=is_checkpointing, rest_s=0)
    await retention.sweep()
    assert seen[:3] == [128, 128, 128]
    assert seen[3] > 128


async def test_without_a_limit_nothing_runs(sequencer: Sequencer, log_path: Path) -> None:
    retention = Retention(sequencer, log_path, KeptEvents())
    tasks = asyncio.all_tasks()
    retention.start()
    assert asyncio.all_tasks() == tasks
    await retention.close()
