"""What all processes of the server have to do, together."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from pds.administration.samples import Counts, Load, Samples
from pds.peers.calls import HasPeers, by_all, by_first

if TYPE_CHECKING:
    from actor_store.store import ActorStore
    from pds.administration.administration import Administration
    from pds.monitoring.requests.statistics import RequestStatistics
    from pds.monitoring.requests.subscribers import Subscribers, SubscriberState
    from sequencer.remote import AnySequencer

_SERVER_ERROR: Final = 500
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_STATM: Final = Path("/proc/self/statm")


class ServerContext(HasPeers, Protocol):
    """A context, as far as looking at the server needs it."""

    @property
    def requests(self) -> RequestStatistics:
        """The requests of this process."""

    @property
    def actor_store(self) -> ActorStore:
        """The actors."""

    @property
    def sequencer(self) -> AnySequencer:
        """The event log."""

    @property
    def subscribers(self) -> Subscribers:
        """The subscribers that this process serves."""

    @property
    def administration(self) -> Administration:
        """What the administrator's pages need."""


@dataclass(frozen=True, slots=True)
class Firehose:
    """The firehose of the whole server."""

    newest_seq: int
    subscribers: list[SubscriberState]
    """In the order in which they connected."""
    cut_off: int
    """Subscribers that were cut off as too slow since the start."""


async def read_load(ctx: ServerContext) -> Load:
    """Return what all processes have counted, and their memory."""
    loads = await _load_here(ctx)
    counts = [load.counts for load in loads]
    return Load(
        Counts(
            requests=sum(each.requests for each in counts),
            failures=sum(each.failures for each in counts),
            writes=sum(each.writes for each in counts),
            events=sum(each.events for each in counts),
            subscribers=sum(each.subscribers for each in counts),
            lag_events=max(each.lag_events for each in counts),
        ),
        memory_bytes=sum(load.memory_bytes for load in loads),
    )


async def look_at_firehose(ctx: ServerContext) -> Firehose:
    """Return the subscribers of all processes."""
    parts = await _firehose_here(ctx)
    subscribers = [each for part in parts for each in part.subscribers]
    return Firehose(
        max(part.newest_seq for part in parts),
        sorted(subscribers, key=lambda each: each.connected_at_s),
        sum(part.cut_off for part in parts),
    )


@by_first
async def read_samples(ctx: ServerContext) -> Samples:
    """Return the samples that the first process takes."""
    return ctx.administration.sampler.samples


@by_all
async def _load_here(ctx: ServerContext) -> Load:
    answers = [
        (status, count)
        for method in ctx.requests.methods.values()
        for status, count in method.answers.items()
    ]
    newest = ctx.sequencer.current_seq
    lags = [max(0, newest - at.seq) for at in ctx.sequencer.subscriptions.positions]
    counts = Counts(
        requests=sum(count for _, count in answers),
        failures=sum(count for status, count in answers if status >= _SERVER_ERROR),
        writes=ctx.actor_store.record_writes.total(),
        events=ctx.sequencer.events_by_type.total(),
        subscribers=len(lags),
        lag_events=max(lags, default=0),
    )
    return Load(counts, _memory_bytes())


@by_all
async def _firehose_here(ctx: ServerContext) -> Firehose:
    return Firehose(
        ctx.sequencer.current_seq,
        [subscriber.state for subscriber in ctx.subscribers],
        ctx.sequencer.subscriptions.cut_off,
    )


def _memory_bytes() -> int:
    """Return the resident memory of this process."""
    try:
        return int(_STATM.read_text().split()[1]) * _PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return 0
