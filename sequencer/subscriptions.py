"""The current subscribers of the firehose, and their positions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Position:
    """The position of one subscriber."""

    seq: int = 0
    """The seq of the last event it received."""
    live: bool = False
    """Whether it has ever caught up, and so may be cut off for falling behind."""


class Subscriptions:
    """The currently connected subscribers."""

    def __init__(self) -> None:
        self.positions: set[Position] = set()
        self.cut_off = 0
        """Subscribers cut off as too slow since the start."""

    def all_have_to_catch_up(self) -> None:
        """Count no subscriber as live until it has caught up with the newest event."""
        for position in self.positions:
            position.live = False

    @contextmanager
    def opened(self, position: Position) -> Iterator[Position]:
        """Register a subscriber, tracked by `position`, for the length of a `with` block."""
        self.positions.add(position)
        try:
            yield position
        finally:
            self.positions.discard(position)
