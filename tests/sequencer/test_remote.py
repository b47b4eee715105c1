"""The log in a process that does not write it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path

import pytest

from database.durability import GroupSync
from database.errors import DatabaseFull, DatabaseUnsynced
from database.opening import open_database
from sequencer.frames import EncodedEvent
from sequencer.outbox import FutureCursor, subscribe
from sequencer.remote import RemoteSequencer
from sequencer.sequencer import Sequencer, SequencerClosed
from tests.sequencer.samples import DID, Clock, commit_event, identity_event, seq_of
from tests.syncs import Disk


class Wire:
    """The way to the writer of the log, on which messages take a step of the event loop."""

    def __init__(self, writer: Sequencer) -> None:
        self.writer = writer
        self.batches: list[int] = []
        self.error: Exception | None = None
        self.remote: RemoteSequencer | None = None
        self.is_sending_frames = False
        writer.ring.on_publish(self._pass_on)

    async def send(self, events: list[EncodedEvent]) -> list[int]:
        self.batches.append(len(events))
        if self.error is not None:
            raise self.error
        return await self.writer.append_encoded(events)

    async def follow(self) -> int:
        self.is_sending_frames = True
        return self.writer.current_seq

    def _pass_on(self, first_seq: int, frames: Sequence[bytes]) -> None:
        if self.is_sending_frames and self.remote is not None:
            asyncio.get_running_loop().call_soon(self.remote.ring.publish, first_seq, list(frames))


@pytest.fixture
def wire(sequencer: Sequencer) -> Wire:
    return Wire(sequencer)


@pytest.fixture
async def remote(wire: Wire, log_path: Path, clock: Clock) -> AsyncIterator[RemoteSequencer]:
    remote = RemoteSequencer(log_path, send=wire.send, follow=wire.follow, now_ms=clock)
    wire.remote = remote
    yield remote
    await remote.close()


async def test_events_get_the_seqs_of_the_writer(
    remote: RemoteSequencer, sequencer: Sequencer
) -> None:
    assert await sequencer.append(identity_event()) == [1]
    assert await remote.append(commit_event(), identity_event()) == [2, 3]
    assert remote.current_seq == sequencer.current_seq == 3
    assert [event.seq for event in remote.log.read_after(0, 10)] == [1, 2, 3]


async def test_what_is_appended_in_one_step_crosses_together_in_order(
    remote: RemoteSequencer, wire: Wire
) -> None:
    seqs = await asyncio.gather(*(remote.append(commit_event(n)) for n in range(20)))
    assert seqs == [[n] for n in range(1, 21)]
    assert wire.batches == [20]


async def test_events_leave_when_what_they_tell_of_is_durable(
    wire: Wire, log_path: Path, disk: Disk, sequencer: Sequencer
) -> None:
    durability = GroupSync()
    store = open_database(log_path.with_name("store.sqlite"), durability=durability)
    remote = RemoteSequencer(log_path, send=wire.send, follow=wire.follow, durability=durability)
    let_go = disk.hold("store.sqlite")
    with store.transaction():
        store.run("CREATE TABLE t (x)")
    first, second = remote.append(commit_event(1)), remote.append(commit_event(2))
    async with asyncio.timeout(10):
        while not disk.begun["store"]:  # noqa: ASYNC110 (a thread counts)
            await asyncio.sleep(0.001)
    assert wire.batches == []
    let_go()
    assert (await first, await second) == ([1], [2])
    # What a store may have lost is not sent at all, unlike what is said of its account.
    disk.failing = "store.sqlite"
    durability.on_failure(lambda _, failure: remote.withhold(DID, failure))
    with store.transaction():
        store.run("DROP TABLE t")
    lost, kept = remote.append(commit_event(3)), remote.append(identity_event())
    with pytest.raises(DatabaseUnsynced):
        await lost
    assert await kept == [3]
    assert (sequencer.current_seq, wire.batches) == (3, [2, 1])
    store.close()
    await remote.close()
    await durability.close()


async def test_steps_keep_their_order_although_nothing_is_awaited(
    remote: RemoteSequencer,
) -> None:
    futures = []
    for n in range(5):
        futures.append(remote.append(commit_event(n)))
        await asyncio.sleep(0)
    assert [await future for future in futures] == [[1], [2], [3], [4], [5]]


async def test_an_error_of_the_log_reaches_every_caller(
    remote: RemoteSequencer, wire: Wire, log_path: Path
) -> None:
    wire.error = DatabaseFull(log_path, "no room")
    first, second = remote.append(commit_event()), remote.append(commit_event(2))
    for future in (first, second):
        with pytest.raises(DatabaseFull):
            await future
    assert remote.is_behind
    wire.error = None
    await remote.append()
    assert not remote.is_behind


async def test_a_subscriber_gets_stored_events_and_then_live_ones_of_all_processes(
    remote: RemoteSequencer, sequencer: Sequencer
) -> None:
    await sequencer.append(*(commit_event(n) for n in range(50)))
    await remote.follow()
    seqs: list[int] = []
    async with aclosing(subscribe(remote, 0)) as frames:
        async for frame in frames:
            seqs.append(seq_of(frame))
            if len(seqs) == 50:
                await remote.append(commit_event())
                await sequencer.append(commit_event(), commit_event(2))
            if len(seqs) == 53:
                break
    assert seqs == list(range(1, 54))


async def test_frames_that_overtake_the_answer_are_not_forgotten(
    remote: RemoteSequencer, sequencer: Sequencer, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    newest = await wire.follow()

    async def follow_late() -> int:
        await sequencer.append(commit_event(), commit_event(2))
        await asyncio.sleep(0.01)
        return newest

    monkeypatch.setattr(remote, "_ask_to_follow", follow_late)
    await remote.follow()
    assert remote.current_seq == 2
    assert remote.ring.find(2) is not None


async def test_a_cursor_is_in_the_future_only_if_it_is_for_the_writer(
    remote: RemoteSequencer, sequencer: Sequencer
) -> None:
    await sequencer.append(commit_event())
    await remote.follow()
    subscribe(remote, 1)
    with pytest.raises(FutureCursor):
        subscribe(remote, 2)


async def _all_of(frames: AsyncIterator[bytes]) -> list[int]:
    return [seq_of(frame) async for frame in frames]


async def test_closing_waits_for_events_on_their_way_and_ends_subscriptions(
    remote: RemoteSequencer, sequencer: Sequencer
) -> None:
    sent = remote.append(commit_event())
    await remote.follow()
    frames = subscribe(remote, None)
    rest = asyncio.ensure_future(_all_of(frames))
    await asyncio.sleep(0)
    await remote.close()
    assert await sent == [1]
    assert await rest in ([], [1])
    with pytest.raises(SequencerClosed):
        remote.append(commit_event())
