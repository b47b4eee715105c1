"""The outbox: one subscriber's stream, from backfill at its cursor to live frames.

A subscriber that is behind the ring of newest frames reads pages of the log; otherwise it takes
the shared frames of the ring. Both are indexed by seq, and what the ring has not published is not
taken from the log, so switching between them leaves no gap and no overlap.

Spec: https://atproto.com/specs/event-stream#sequence-numbers
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from typing import ClassVar, Final

from database.retry import when_free
from sequencer.events import timestamp
from sequencer.feed import Feed
from sequencer.frames import EVENT_TYPES, frame, info_frame
from sequencer.log import PAGE_BYTES, EventLog, StoredEvent
from sequencer.subscriptions import Position

PAGE: Final = 32
"""Events read from the log, or taken from the ring, before other subscribers get their turn; fewer
if they exceed `PAGE_BYTES`."""

_OUTDATED: Final = info_frame(
    "OutdatedCursor", "Requested cursor exceeded limit. Possibly missing events"
)


class FirehoseError(Exception):
    """A subscription ends with an error frame, after which the socket closes with code 1008.

    FirehoseError
    ├── FutureCursor      the cursor is beyond the newest event
    └── ConsumerTooSlow   the subscriber fell too far behind the newest event
    """

    error: ClassVar[str]
    """The error's name on the wire, also the reason for the close."""
    message: ClassVar[str]

    def __init__(self) -> None:
        super().__init__(self.message)


class FutureCursor(FirehoseError):
    """The cursor is beyond the newest event of this host."""

    error = "FutureCursor"
    message = "Cursor in the future."


class ConsumerTooSlow(FirehoseError):
    """The subscriber had caught up and then fell too far behind."""

    error = "ConsumerTooSlow"
    message = "Stream consumer too slow"


async def _at_once() -> None:
    pass


async def _next_round() -> None:
    await asyncio.sleep(0)


def subscribe(
    feed: Feed,
    cursor: int | None,
    *,
    max_buffer: int = 500,
    backfill_limit_ms: int = 86_400_000,
    next_slice: Callable[[], Awaitable[None]] = _next_round,
    before_waiting: Callable[[], Awaitable[None]] = _at_once,
    position: Position | None = None,
) -> AsyncGenerator[bytes, None]:
    """Return an endless stream of frames after `cursor`, or from now on without a cursor.

    Events older than `backfill_limit_ms` are left out, like those that were deleted, and an info
    frame says so. Raises `FutureCursor` at once. The iterator raises `ConsumerTooSlow` when it once
    had caught up and is asked for its next frame more than `max_buffer` events behind; it ends when
    the sequencer closes. Until it has waited for an event once, it awaits `next_slice` before every
    `PAGE`: sending rarely waits by itself, so one busy subscriber would leave no time to others.
    `before_waiting` is awaited whenever there is no event for the moment. `position`, if given,
    tells from now on where the subscriber is.
    """
    newest = feed.current_seq
    start, outdated = newest, False
    if cursor is not None:
        start, outdated = _start(feed, max(cursor, 0), backfill_limit_ms)
    at = position or Position()
    at.seq, at.live = start, _caught_up(newest - start, max_buffer)
    return _frames(
        feed,
        at,
        max_buffer=max_buffer,
        outdated=outdated,
        next_slice=next_slice,
        before_waiting=before_waiting,
    )


def _start(feed: Feed, cursor: int, backfill_limit_ms: int) -> tuple[int, bool]:
    """Return the seq to start after, and whether that skips events."""
    newest = feed.current_seq
    if cursor > newest:
        raise FutureCursor
    deleted = feed.log.deleted_seq()
    following = feed.log.read_after(cursor, 1)
    oldest_time = timestamp(feed.now_ms() - backfill_limit_ms)
    if not following or following[0].sequenced_at >= oldest_time:
        return max(cursor, deleted), cursor < deleted
    earliest = feed.log.earliest_after(oldest_time)
    return (newest if earliest is None else min(newest, earliest - 1)), True


def _caught_up(behind: int, max_buffer: int) -> bool:
    """Whether a subscriber counts as live, so that falling behind is its own fault."""
    # Half the buffer leaves room for new events while the rest is sent.
    return behind <= max_buffer // 2


def _read_page(log: EventLog, after: int) -> tuple[list[StoredEvent], int]:
    """Return the next events of the log, and the seq up to which it has none any more."""
    return log.read_after(after, PAGE), log.deleted_seq()


async def _frames(
    feed: Feed,
    at: Position,
    *,
    max_buffer: int,
    outdated: bool,
    next_slice: Callable[[], Awaitable[None]],
    before_waiting: Callable[[], Awaitable[None]],
) -> AsyncGenerator[bytes, None]:
    """Yield the frames after `at` in seq order, and advance `at`."""
    if outdated:
        yield _OUTDATED
    ring = feed.ring
    allowed = max_buffer
    # A subscriber that has once waited for an event has finished its backfill.
    take_turn, room = next_slice, 0
    with feed.subscriptions.opened(at):
        while not ring.closed:
            behind = ring.last_seq - at.seq
            if behind <= 0:
                await before_waiting()
                await ring.wait_beyond(at.seq)
                # One transaction may exceed the buffer; that does not make the consumer too slow.
                allowed = max(max_buffer, ring.last_seq - at.seq)
                take_turn, room = _next_round, PAGE_BYTES
                continue
            if at.live and behind > allowed:
                feed.subscriptions.cut_off += 1
                raise ConsumerTooSlow
            at.live = at.live or _caught_up(behind, max_buffer)
            if room <= 0:
                await take_turn()
                room = PAGE_BYTES
                continue
            live = ring.find(at.seq + 1)
            if live is not None:
                at.seq += 1
                room -= max(len(live), PAGE_BYTES // PAGE)
                yield live
                continue
            room = 0
            newest = ring.last_seq
            page, deleted = await when_free(partial(_read_page, feed.log, at.seq))
            if at.seq < deleted:
                # Retention has overtaken the subscriber, who has to know that it misses events.
                at.seq = deleted
                yield _OUTDATED
                continue
            # Later rows are committed, but not durable yet.
            page = [stored for stored in page if stored.seq <= newest]
            if not page:
                # All remaining events up to the newest seq have been deleted.
                at.seq = max(at.seq, newest)
            for stored in page:
                at.seq = stored.seq
                if stored.event_type in EVENT_TYPES:
                    yield frame(stored.event_type, stored.body, stored.seq, stored.sequenced_at)
