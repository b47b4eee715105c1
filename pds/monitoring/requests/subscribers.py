"""The subscribers of the firehose, for the operator: a list, and log lines."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import structlog
from aiohttp import hdrs, web

from database.timestamps import iso_of
from pds.monitoring.logs.sparse import SparseLines
from pds.monitoring.requests.client_address import ClientAddress
from pds.monitoring.requests.header_text import shown
from sequencer.subscriptions import Position

MAX_USER_AGENT_LENGTH: Final = 200
LINES: Final = 120
LINES_EACH: Final = 12
LINES_S: Final = 60.0
"""At most `LINES` log lines about subscribers per `LINES_S` seconds, of which `LINES_EACH` per
client: one that keeps reconnecting neither fills the log nor keeps others out of it."""

_LEFT: Final = "the connection ended"

_log = structlog.get_logger(__name__)


@dataclass(slots=True, frozen=True)
class SubscriberState:
    """A consumer of the firehose at one moment."""

    address: str
    user_agent: str | None
    cursor: int | None
    """The cursor it requested."""
    seq: int
    """The last event that it was sent."""
    is_live: bool
    """Whether it has caught up."""
    connected_at_s: float
    """Seconds since the Unix epoch."""

    def lag_events(self, newest: int) -> int:
        """Return how many events up to `newest` it has not been sent."""
        return max(0, newest - self.seq)

    def to_json(self, newest: int) -> dict[str, Any]:
        """Return the form shown to the operator."""
        return {
            "address": self.address,
            "userAgent": self.user_agent,
            "cursor": self.cursor,
            "seq": self.seq,
            "lagEvents": self.lag_events(newest),
            "state": "live" if self.is_live else "backfill",
            "connectedAt": iso_of(self.connected_at_s),
        }


@dataclass(slots=True, eq=False)
class Subscriber:
    """One consumer of the firehose, from its connection to its end."""

    socket: web.WebSocketResponse
    request: web.Request
    address: ClientAddress
    user_agent: str | None
    """Sanitized for display, because clients choose it."""
    connected_at_s: float
    """Seconds since the Unix epoch."""
    cursor: int | None = None
    """The cursor it requested."""
    position: Position = field(default_factory=Position)
    end: str = _LEFT
    """Why the connection ends, once that is known."""

    def lag_events(self, newest: int) -> int:
        """Return how many events up to `newest` it has not been sent."""
        return max(0, newest - self.position.seq)

    @property
    def state(self) -> SubscriberState:
        """How far it has come."""
        return SubscriberState(
            self.address.text,
            self.user_agent,
            self.cursor,
            self.position.seq,
            self.position.live,
            self.connected_at_s,
        )


class Subscribers:
    """The connected subscribers of the firehose. Belongs to one event loop."""

    def __init__(self) -> None:
        self._present: dict[Subscriber, None] = {}
        self._lines = SparseLines(LINES, LINES_S, each=LINES_EACH)

    def __len__(self) -> int:
        return len(self._present)

    def __iter__(self) -> Iterator[Subscriber]:
        """Iterate in the order of connection."""
        return iter(list(self._present))

    @contextmanager
    def entered(
        self, socket: web.WebSocketResponse, request: web.Request, address: ClientAddress
    ) -> Iterator[Subscriber]:
        """Register a subscriber for a `with` block, which lasts as long as its connection."""
        agent = request.headers.get(hdrs.USER_AGENT)
        subscriber = Subscriber(
            socket,
            request,
            address,
            None if agent is None else shown(agent, MAX_USER_AGENT_LENGTH),
            time.time(),
        )
        self._present[subscriber] = None
        try:
            yield subscriber
        finally:
            del self._present[subscriber]
            self._write(
                "firehose subscriber gone",
                subscriber,
                reason=subscriber.end,
                seq=subscriber.position.seq,
                connected_s=round(time.time() - subscriber.connected_at_s),
            )

    def note_started(self, subscriber: Subscriber, newest: int) -> None:
        """Log that the subscriber's cursor was accepted and sending events begins."""
        self._write(
            "firehose subscriber connected",
            subscriber,
            cursor=subscriber.cursor,
            lag_events=subscriber.lag_events(newest),
        )

    def _write(self, event: str, subscriber: Subscriber, **fields: Any) -> None:
        unlogged = self._lines.admit(subscriber.address.group)
        if unlogged is None:
            return
        if unlogged:
            fields["unlogged"] = unlogged
        _log.info(event, client=subscriber.address.text, user_agent=subscriber.user_agent, **fields)
