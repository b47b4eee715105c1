"""Who reads the firehose, and how far each has come."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Position:
    """Where one subscriber is."""

    seq: int = 0
    """The last event that it was given."""
    live: bool = False
    """Whether it has caught up once, and so may be cut off for falling behind."""


class Subscriptions:
    """The subscribers that are there now."""

    def __init__(self) -> None:
        self.positions: set[Position] = set()
        self.cut_off = 0
        """How many were too slow, since the start."""

    def all_have_to_catch_up(self) -> None:
        """Count nobody as live before they have read on to the newest event."""
        for position in self.positions:
            position.live = False

    @contextmanager
    def opened(self, position: Position) -> Iterator[Position]:
        """A `with` block during which somebody reads the events after `position`."""
        self.positions.add(position)
        try:
            yield position
        finally:
            self.positions.discard(position)
