"""The minimum pace at which bytes must pass between a client and the server."""

from __future__ import annotations


class Pace:
    """Counts the time spent waiting for the other side, stretch by stretch.

    Each `stretch_bytes` may take `stretch_s` seconds of waiting, in any number of steps. This
    side's own processing time does not count.
    """

    __slots__ = ("_bytes", "_stretch_bytes", "_stretch_s", "left_s")

    def __init__(self, stretch_bytes: int, stretch_s: float) -> None:
        self._stretch_bytes = stretch_bytes
        self._stretch_s = stretch_s
        self._bytes = 0
        self.left_s = stretch_s
        """The waiting time left for the rest of the stretch."""

    def note(self, size: int, waited_s: float) -> None:
        """Count bytes that have passed, and the time spent waiting for them."""
        self._bytes += size
        self.left_s -= waited_s
        if self._bytes >= self._stretch_bytes:
            self._bytes, self.left_s = 0, self._stretch_s
