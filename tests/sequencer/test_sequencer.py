"""Appending: order, shared transactions, failures, and what survives a crash."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from database import retry
from database.connection import Database
from database.errors import DatabaseBusy, DatabaseFull
from database.opening import open_database
from sequencer import run_state
from sequencer import sequencer as sequencer_module
from sequencer.events import AccountEvent, CommitEvent, IdentityEvent, SyncEvent
from sequencer.log import EventLog
from sequencer.outbox import subscribe
from sequencer.run_state import MAX_RAISED_SEQ, RESERVED_SEQS, SEQS_A_MS
from sequencer.sequencer import SeqTooHigh, Sequencer, SequencerClosed
from tests.database.statements import statements_of
from tests.sequencer.samples import (
    DID,
    OTHER_DID,
    Clock,
    commit_event,
    identity_event,
    seq_of,
    turn,
)


@pytest.fixture
def other(sequencer: Sequencer, log_path: Path) -> Iterator[Database]:
    """Another process's connection to the same log."""
    db = open_database(log_path, busy_timeout_ms=0)
    yield db
    db.close()


async def test_events_of_one_call_get_consecutive_seqs(sequencer: Sequencer) -> None:
    assert await sequencer.append(identity_event(), commit_event()) == [1, 2]
    assert await sequencer.append(commit_event()) == [3]
    assert sequencer.current_seq == 3


async def test_row_holds_what_the_reference_would_read(
    sequencer: Sequencer, other: Database
) -> None:
    event = commit_event()
    await sequencer.append(event)
    assert other.all("SELECT * FROM repo_seq") == [
        (1, DID, "append", event.body(), 0, "2027-01-15T08:00:00.000Z")
    ]


async def test_order_is_that_of_the_calls_not_of_the_awaits(sequencer: Sequencer) -> None:
    first = sequencer.append(identity_event(1))
    second = sequencer.append(identity_event(2))
    assert await second == [2]
    assert await first == [1]


async def test_events_of_one_step_share_a_transaction(
    sequencer: Sequencer, other: Database
) -> None:
    commits = 0

    def count() -> bool:
        nonlocal commits
        commits += 1
        return False

    sequencer._db.connection.set_commit_hook(count)
    await asyncio.gather(*(sequencer.append(commit_event(n)) for n in range(8)))
    assert commits == 1
    assert other.value("SELECT count(*) FROM repo_seq") == 8


async def test_nothing_is_visible_before_the_commit(sequencer: Sequencer) -> None:
    pending = sequencer.append(commit_event())
    assert sequencer.current_seq == 0
    assert sequencer.ring.find(1) is None
    await pending
    assert sequencer.ring.find(1) is not None


async def test_observers_see_events_before_anything_else_runs(sequencer: Sequencer) -> None:
    seen: list[object] = []
    sequencer.on_event(seen.append)
    events = (identity_event(), commit_event())
    appended = sequencer.append(*events)
    assert seen == [*events]
    await appended
    assert seen == [*events]


async def test_listeners_hear_of_commits_even_when_one_of_them_fails(
    sequencer: Sequencer, caplog: pytest.LogCaptureFixture
) -> None:
    heard = []
    sequencer.on_append(lambda: heard.append(1 // 0))
    sequencer.on_append(lambda: heard.append(sequencer.current_seq))
    await sequencer.append(identity_event())
    await sequencer.append(identity_event(), identity_event())
    assert heard == [1, 3]
    assert "listener" in caplog.text


async def test_append_without_events_waits_for_those_before_it(sequencer: Sequencer) -> None:
    first = sequencer.append(identity_event())
    assert await sequencer.append() == []
    assert first.done()


async def test_cancelled_waiter_loses_no_event(sequencer: Sequencer) -> None:
    sequencer.append(identity_event(1)).cancel()
    assert await sequencer.append(identity_event(2)) == [2]


async def test_full_disk_fails_every_waiter_and_loses_no_event(
    sequencer: Sequencer, other: Database
) -> None:
    await sequencer.append(identity_event(1))
    pages = sequencer._db.value("PRAGMA page_count")
    sequencer._db.run(f"PRAGMA max_page_count = {pages}")
    large = commit_event(block_bytes=1_000_000)
    results = await asyncio.gather(
        sequencer.append(large), sequencer.append(identity_event(2)), return_exceptions=True
    )
    assert [type(result) for result in results] == [DatabaseFull, DatabaseFull]
    assert sequencer.current_seq == 1
    assert sequencer.is_behind
    with pytest.raises(DatabaseFull):
        await sequencer.append()

    # What they tell has happened: the next append takes them along, in their order.
    sequencer._db.run("PRAGMA max_page_count = 1000000")
    assert await sequencer.append(identity_event(3)) == [4]
    assert not sequencer.is_behind
    kinds = other.all("SELECT seq, eventType FROM repo_seq ORDER BY seq")
    assert kinds == [(1, "identity"), (2, "append"), (3, "identity"), (4, "identity")]


async def test_refused_events_are_written_without_another_append(
    sequencer: Sequencer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequencer_module, "_RETRY_MS", 0)
    frames = subscribe(sequencer, None)
    pages = sequencer._db.value("PRAGMA page_count")
    sequencer._db.run(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(DatabaseFull):
        await sequencer.append(commit_event(block_bytes=1_000_000))
    for _ in range(5):
        await turn()
    sequencer._db.run("PRAGMA max_page_count = 1000000")
    assert seq_of(await anext(frames)) == 1
    await frames.aclose()


async def test_closing_a_log_that_refuses_events_ends(sequencer: Sequencer) -> None:
    pages = sequencer._db.value("PRAGMA page_count")
    sequencer._db.run(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(DatabaseFull):
        await sequencer.append(commit_event(block_bytes=1_000_000))
    await sequencer.close()
    assert sequencer._flush_at is None


async def test_unforeseen_failure_reaches_the_waiter(
    sequencer: Sequencer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> int:
        raise MemoryError

    with monkeypatch.context() as patched:
        patched.setattr(sequencer.log, "insert", fail)
        with pytest.raises(MemoryError):
            await sequencer.append(identity_event())
    assert await sequencer.append(identity_event()) == [1]


async def test_busy_log_is_waited_for_without_losing_order(
    sequencer: Sequencer, other: Database
) -> None:
    other.run("BEGIN IMMEDIATE")
    appended = [sequencer.append(identity_event(n)) for n in range(3)]
    while sequencer._queue[0].tries < 3:
        # The loop keeps turning, and so does the queue.
        appended.append(sequencer.append(identity_event(len(appended))))
        await turn()
    assert not any(future.done() for future in appended)
    other.run("ROLLBACK")
    seqs = [seq for (seq,) in await asyncio.gather(*appended)]
    assert seqs == list(range(1, len(appended) + 1))
    stored = sequencer.log.read_after(0, 10_000)
    assert [event.body for event in stored] == [
        identity_event(n).body() for n in range(len(appended))
    ]


async def test_log_busy_for_too_long_fails_the_oldest_and_keeps_their_events(
    sequencer: Sequencer, other: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "DELAYS_MS", (1, 1, 1))
    other.run("BEGIN IMMEDIATE")
    oldest = sequencer.append(identity_event(1))
    while sequencer._queue[0].tries < 3:
        await turn()
    younger = sequencer.append(identity_event(2))
    with pytest.raises(DatabaseBusy):
        await oldest
    assert sequencer.is_behind
    other.run("ROLLBACK")
    assert await younger == [2]
    assert [event.body for event in sequencer.log.read_after(0, 10)] == [
        identity_event(1).body(),
        identity_event(2).body(),
    ]


async def test_seq_never_repeats_after_the_last_rows_were_deleted(
    log_path: Path, clock: Clock
) -> None:
    first = Sequencer(log_path, now_ms=clock)
    await first.append(*(commit_event(n, did=OTHER_DID) for n in range(5)))
    await first.delete_events_of(OTHER_DID, keep_seq=0)
    await first.close()

    second = Sequencer(log_path, now_ms=clock)
    assert second.current_seq == 5
    assert await second.append(identity_event()) == [6]
    await second.close()


async def test_crash_keeps_what_was_acknowledged_and_tells_of_itself(
    sequencer: Sequencer, log_path: Path, tmp_path: Path, clock: Clock
) -> None:
    sequencer.mark_running()
    await sequencer.append(commit_event(1), commit_event(2))
    crashed = tmp_path / "crashed"
    crashed.mkdir()
    # What a killed process leaves: the file and its WAL, nothing closed.
    for name in (log_path.name, f"{log_path.name}-wal"):
        shutil.copy(log_path.with_name(name), crashed)

    reopened = Sequencer(crashed / log_path.name, now_ms=clock)
    assert reopened.run.was_unclean
    assert [event.seq for event in reopened.log.read_after(0, 10)] == [1, 2]
    # Whatever else had been published and then lost with the power, its seq is not used again.
    assert await reopened.append(identity_event()) == [RESERVED_SEQS + 2]
    await reopened.close()


async def test_seqs_go_on_behind_the_reserved_ones_when_the_log_has_lost_events(
    log_path: Path,
) -> None:
    running = Sequencer(log_path)
    running.mark_running()
    published = 0
    for _ in range(RESERVED_SEQS // 500 + 1):
        *_, published = await running.append(*(identity_event() for _ in range(500)))
    running._db.run("DELETE FROM repo_seq")
    running._db.run("DELETE FROM sqlite_sequence")
    await running.close()
    reopened = Sequencer(log_path)
    assert published > RESERVED_SEQS
    assert reopened.current_seq > published
    assert (await reopened.append(identity_event()))[0] > published
    await reopened.close()


async def run_once(log_path: Path, clock: Clock, *, events: int) -> list[int]:
    """Return the seqs assigned by a run that stops cleanly."""
    run = Sequencer(log_path, now_ms=clock)
    run.mark_running()
    seqs = await run.append(*(identity_event() for _ in range(events)))
    run.mark_stopped()
    await run.close()
    return seqs


async def test_an_orderly_stop_leaves_out_only_what_the_time_since_may_have_had(
    log_path: Path, clock: Clock
) -> None:
    assert [await run_once(log_path, clock, events=1) for _ in range(3)] == [[1], [2], [3]]
    clock.ms += 2_000
    assert await run_once(log_path, clock, events=1) == [4 + 2_000 * SEQS_A_MS]


async def test_an_older_copy_goes_on_above_every_seq_that_was_given_out_since(
    log_path: Path, clock: Clock, tmp_path: Path
) -> None:
    """Nothing in the directory tells of them: all of it is from the copy."""
    await run_once(log_path, clock, events=5)
    copy = tmp_path / "copy.sqlite"
    shutil.copy(log_path, copy)
    lost = []
    for _ in range(3):
        clock.ms += 1_000
        lost += await run_once(log_path, clock, events=1_000)
        clock.ms += 500  # Few servers are as quick.
    (seq,) = await run_once(copy, clock, events=1)
    assert seq > max(lost)


async def test_an_older_copy_goes_on_above_what_a_server_gave_out_that_crashed_again_and_again(
    log_path: Path, clock: Clock, tmp_path: Path
) -> None:
    await run_once(log_path, clock, events=5)
    copy = tmp_path / "copy.sqlite"
    shutil.copy(log_path, copy)
    last = 0
    for _ in range(5):
        clock.ms += 200
        crashing = Sequencer(log_path, now_ms=clock)
        crashing.mark_running()
        (last,) = await crashing.append(identity_event())
        await crashing.close()
        clock.ms += 1
    assert last > 4 * RESERVED_SEQS
    (seq,) = await run_once(copy, clock, events=1)
    assert seq > last


async def test_a_copy_of_a_log_that_was_in_use_goes_on_above_what_followed(
    log_path: Path, clock: Clock, tmp_path: Path
) -> None:
    running = Sequencer(log_path, now_ms=clock)
    running.mark_running()
    await running.append(identity_event())
    copy = tmp_path / log_path.name
    for path in log_path.parent.glob(f"{log_path.name}*"):
        shutil.copy(path, copy.with_name(path.name.replace(log_path.name, "copy.sqlite")))
    clock.ms += 1_000
    *_, last = await running.append(*(identity_event() for _ in range(2 * RESERVED_SEQS)))
    await running.close()
    (seq,) = await run_once(copy.with_name("copy.sqlite"), clock, events=1)
    assert seq > last


async def test_a_clock_that_was_put_back_takes_no_seq_back(log_path: Path, clock: Clock) -> None:
    await run_once(log_path, clock, events=5)
    clock.ms -= 86_400_000
    assert await run_once(log_path, clock, events=1) == [6]


async def test_a_raised_log_stays_raised_for_the_reference_too(
    log_path: Path, clock: Clock
) -> None:
    raised = Sequencer(log_path, now_ms=clock)
    raised.mark_running()
    await raised.append(identity_event())
    await raised.raise_to(500)
    await raised.raise_to(400)
    assert await raised.append(identity_event()) == [501]
    raised.mark_stopped()
    await raised.close()
    # What the reference counts by.
    with closing(open_database(log_path)) as db:
        assert db.value("SELECT seq FROM sqlite_sequence WHERE name = 'repo_seq'") == 501


async def test_raising_is_bounded(sequencer: Sequencer) -> None:
    with pytest.raises(SeqTooHigh):
        await sequencer.raise_to(MAX_RAISED_SEQ + 1)
    await sequencer.raise_to(MAX_RAISED_SEQ)
    assert await sequencer.append(identity_event()) == [MAX_RAISED_SEQ + 1]


async def test_raising_waits_for_the_file_and_for_nothing_else(
    sequencer: Sequencer, log_path: Path
) -> None:
    sequencer.mark_running()
    with closing(open_database(log_path)) as other, other.transaction():
        raising = asyncio.create_task(sequencer.raise_to(700))
        appended = sequencer.append(identity_event())
        await asyncio.sleep(0.01)
        assert not raising.done()
    await raising
    assert sequencer.run.reserved_seq > 700
    # Whichever got the file first.
    assert (await appended)[0] in (1, 701)
    assert await sequencer.append(identity_event()) >= [701]


async def test_a_restart_of_the_machine_is_told_until_all_is_mended(
    log_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_after(boot_id: str) -> Sequencer:
        monkeypatch.setattr(run_state, "_find_boot_id", lambda: boot_id)
        sequencer = Sequencer(log_path)
        sequencer.mark_running()
        return sequencer

    await (first := open_after("a")).close()
    await (killed := open_after("a")).close()
    await (restarted := open_after("b")).close()
    await (again := open_after("b")).close()
    runs = (first, killed, restarted, again)
    assert [one.run.power_may_have_failed for one in runs] == [False, False, True, True]
    mended = open_after("b")
    mended.run.mark_recovered()
    await mended.close()
    last = open_after("b")
    assert (last.run.was_unclean, last.run.power_may_have_failed) == (True, False)
    await last.close()


async def test_a_copy_of_the_log_says_that_writes_may_be_lost_until_all_is_mended(
    log_path: Path,
) -> None:
    for copies_clean_stop in (True, False):
        used = Sequencer(log_path)
        used.mark_running()
        await used.append(identity_event())
        if copies_clean_stop:
            used.mark_stopped()
        await used.close()
        with closing(open_database(log_path)) as db:
            run_state.mark_as_copy(db)
        copy = Sequencer(log_path)
        assert (copy.run.was_unclean, copy.run.power_may_have_failed) == (True, True)
        copy.mark_running()
        copy.run.mark_recovered()
        await copy.close()
        mended = Sequencer(log_path)
        assert not mended.run.power_may_have_failed
        await mended.close()


async def test_a_copy_of_a_log_of_the_reference_goes_on_above_what_was_given_out_since(
    log_path: Path,
) -> None:
    """The reference itself would go on without a gap, and give out seqs again."""
    with closing(open_database(log_path)) as db:
        EventLog(db)
        db.run(
            "INSERT INTO repo_seq (did, eventType, event, sequencedAt) VALUES (?, ?, ?, ?)",
            ("did:plc:a", "identity", b"\xa0", "2026-01-01T00:00:00.000Z"),
        )
        run_state.mark_as_copy(db)
    copy = Sequencer(log_path)
    assert copy.run.power_may_have_failed
    assert copy.current_seq > 1_000_000
    await copy.close()


async def test_deleting_an_account_leaves_its_last_event_and_all_others(
    sequencer: Sequencer,
) -> None:
    for number in range(150):
        sequencer.append(commit_event(number, block_bytes=10), commit_event(number, did=OTHER_DID))
    (keep_seq,) = await sequencer.append(AccountEvent(OTHER_DID, active=False, status="deleted"))
    await sequencer.delete_events_of(OTHER_DID, keep_seq=keep_seq)
    left = sequencer.log.read_after(0, 1_000)
    assert len(left) == 151
    assert [event.seq for event in left if event.did == OTHER_DID] == [keep_seq]
    assert sequencer.ring.find(2) is None


async def test_invalidated_rows_are_skipped(sequencer: Sequencer, other: Database) -> None:
    await sequencer.append(*(commit_event(n) for n in range(1, 4)))
    other.run("UPDATE repo_seq SET invalidated = 1 WHERE seq IN (1, 3)")
    assert [event.seq for event in sequencer.log.read_after(0, 10)] == [2]
    assert sequencer.log.earliest_after("2000-01-01T00:00:00.000Z") == 2
    last = sequencer.log.last_event_of(DID)
    assert last is not None
    assert last.seq == 2


async def test_page_ends_early_when_its_events_are_large(sequencer: Sequencer) -> None:
    await sequencer.append(*(commit_event(n, block_bytes=50_000) for n in range(5)))
    assert [event.seq for event in sequencer.log.read_after(0, 500)] == [1, 2]
    assert [event.seq for event in sequencer.log.read_after(4, 500)] == [5]


async def test_earliest_after_finds_the_first_event_of_a_time(
    sequencer: Sequencer, clock: Clock
) -> None:
    for _ in range(3):
        await sequencer.append(identity_event(), identity_event())
        clock.ms += 1_000
    assert sequencer.log.earliest_after("2027-01-15T08:00:00.001Z") == 3
    assert sequencer.log.earliest_after("2027-01-15T08:00:02.000Z") == 5
    assert sequencer.log.earliest_after("2027-01-15T08:00:02.001Z") is None


async def test_last_event_of_a_did_is_the_newest_that_tells_a_rev(sequencer: Sequencer) -> None:
    assert sequencer.log.last_event_of(DID) is None
    await sequencer.append(commit_event(1), SyncEvent(DID, "3n2qm54vpxs2x", b"car"))
    await sequencer.append(IdentityEvent(DID), commit_event(2, did=OTHER_DID))
    last = sequencer.log.last_event_of(DID)
    assert last is not None
    assert (last.seq, last.event_type, last.rev) == (2, "sync", "3n2qm54vpxs2x")


async def test_closing_commits_what_is_queued(log_path: Path) -> None:
    closing = Sequencer(log_path)
    pending = closing.append(identity_event())
    await closing.close()
    await closing.close()
    assert await pending == [1]
    with pytest.raises(SequencerClosed):
        closing.append(identity_event())


async def test_run_is_unclean_until_it_is_marked_stopped(log_path: Path) -> None:
    fresh = Sequencer(log_path)
    assert not fresh.run.was_unclean
    fresh.mark_running()
    await fresh.append(identity_event())
    await fresh.close()

    crashed = Sequencer(log_path)
    assert crashed.run.was_unclean
    crashed.mark_running()
    crashed.mark_stopped()
    await crashed.close()

    stopped = Sequencer(log_path)
    assert not stopped.run.was_unclean
    await stopped.close()


async def test_log_moved_by_another_server_counts_as_unclean_and_goes_on_without_a_hole(
    log_path: Path,
) -> None:
    ours = Sequencer(log_path)
    ours.mark_running()
    ours.mark_stopped()
    await ours.append(identity_event())
    await ours.close()
    reopened = Sequencer(log_path)
    assert reopened.run.was_unclean
    assert await reopened.append(identity_event()) == [2]
    await reopened.close()


async def test_a_clock_that_is_centuries_ahead_leaves_seqs_for_the_events_to_come(
    log_path: Path,
) -> None:
    log = Sequencer(log_path)
    log.mark_running()
    await log.append(identity_event())
    await log.close()
    year_9999_ms = 253_370_764_800_000
    ahead = Sequencer(log_path, now_ms=lambda: year_9999_ms)
    assert await ahead.append(identity_event()) == [MAX_RAISED_SEQ + 1]
    await ahead.close()


async def test_running_flag_is_synced_to_the_disk_with_its_own_commit(
    sequencer: Sequencer,
) -> None:
    with statements_of(sequencer._db) as statements:
        sequencer.mark_running()
    assert statements[1] == "PRAGMA synchronous = FULL"
    assert statements[2].startswith("INSERT INTO holdfast_run")
    assert statements[3] == "PRAGMA synchronous = 1"


async def test_event_that_cannot_be_encoded_is_refused_at_the_call(sequencer: Sequencer) -> None:
    broken = CommitEvent(DID, None, "rev", None, b"", (), None)  # type: ignore[arg-type] # no CID
    with pytest.raises(AttributeError):
        sequencer.append(broken)
    assert await sequencer.append(identity_event()) == [1]
