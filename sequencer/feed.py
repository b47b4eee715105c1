"""What subscribers need of an event log, whichever process writes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from sequencer.log import EventLog
from sequencer.ring import FrameRing
from sequencer.subscriptions import Subscriptions


class Feed(Protocol):
    """The events of one log: stored ones, and the newest as they come."""

    log: EventLog
    """The stored events, for reading."""
    ring: FrameRing
    """The newest frames."""
    now_ms: Callable[[], int]
    """The wall clock, in milliseconds since the Unix epoch."""
    subscriptions: Subscriptions

    @property
    def current_seq(self) -> int:
        """The newest committed seq; 0 for a new log."""
