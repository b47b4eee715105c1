"""Events between processes: to the first one, which has the log, and from there to subscribers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

from pds.peers.calls import HasPeers, by_all, by_first, telling, told

if TYPE_CHECKING:
    import asyncio

    from sequencer.frames import EncodedEvent
    from sequencer.remote import AnySequencer
    from sequencer.sequencer import Sequencer


class EventContext(HasPeers, Protocol):
    """A context, as far as events need it."""

    sequencer: AnySequencer

    @property
    def event_log(self) -> Sequencer:
        """The event log where it is written."""


@by_first
def append_events(ctx: EventContext, events: list[EncodedEvent]) -> asyncio.Future[list[int]]:
    """Append events of another process, in the order in which messages arrive.

    The future is that of `Sequencer.append`.
    """
    return ctx.event_log.append_encoded(events)


@by_first
async def delete_events_of(ctx: EventContext, did: str, *, keep_seq: int) -> None:
    """Delete the events of `did` except `keep_seq`, the one that announces its deletion."""
    await ctx.event_log.delete_events_of(did, keep_seq=keep_seq)
    await _drop_frames(ctx)


@by_first
async def raise_to(ctx: EventContext, seq: int) -> tuple[int, int]:
    """Assign only seqs above `seq` from now on; return the newest seq before and after.

    Raises what `Sequencer.raise_to` does.
    """
    log = ctx.event_log
    before = log.current_seq
    await log.raise_to(seq)
    ctx.peers.tell_others(telling(skip_to, log.current_seq))
    return before, log.current_seq


@by_first
async def send_frames_to(ctx: EventContext, worker: int | None) -> int:
    """Send every frame from now on to a worker, and return the newest seq."""
    if worker is not None:
        ctx.peers.followers.add(worker)
    return ctx.event_log.current_seq


@told
def take_frames(ctx: EventContext, first_seq: int, frames: Sequence[bytes]) -> None:
    """Publish frames to the subscribers of this process."""
    ctx.sequencer.ring.publish(first_seq, frames)


@by_all
async def _drop_frames(ctx: EventContext) -> None:
    """Forget frames in memory, because some have been deleted from the log."""
    ctx.sequencer.ring.clear()


@told
def skip_to(ctx: EventContext, seq: int) -> None:
    """Go on after `seq`, which nobody has to catch up with."""
    ctx.sequencer.subscriptions.all_have_to_catch_up()
    ctx.sequencer.ring.skip_to(seq)


def share_frames(ctx: EventContext) -> None:
    """Send what is published here to the workers that follow: encoded once for all of them."""
    ctx.event_log.ring.on_publish(partial(_share, ctx))


def _share(ctx: EventContext, first_seq: int, frames: Sequence[bytes]) -> None:
    peers = ctx.peers
    if not peers.followers:
        return
    message = telling(take_frames, first_seq, frames)
    for number in tuple(peers.followers):
        link = peers.worker(number)
        if link is not None:
            link.tell(message)
