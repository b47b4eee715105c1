"""The newest frames, shared by all subscribers in memory, and the wait for the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

RING_FRAMES: Final = 1_000
"""Twice the default of PDS_MAX_SUBSCRIPTION_BUFFER, so a subscriber within it finds its frames."""
RING_BYTES: Final = 16 << 20
_PAUSE_S: Final = 0.0001
_MAX_PAUSE_S: Final = 0.025
"""The pause between two times of waking subscribers, for each of them and at most. To wake one
costs as much as to send it some more events, so many are woken less often, and get more at once."""
_TRIM_EVERY = 64
"""Frames over the limit before the oldest are dropped, because dropping moves the whole list."""


class FrameRing:
    """Frames of consecutive seqs up to `last_seq`.

    A subscriber keeps only its cursor and takes frames by seq, so a slow one costs no memory and
    no other subscriber's time. Dropped frames are read from the log.
    """

    def __init__(
        self, last_seq: int, *, max_frames: int = RING_FRAMES, max_bytes: int = RING_BYTES
    ) -> None:
        """Start empty at `last_seq`, the newest event of the log."""
        self._last_seq = last_seq
        self._frames: list[bytes] = []
        self._bytes = 0
        self._max_frames = max_frames
        self._max_bytes = max_bytes
        self._waiters: set[asyncio.Future[None]] = set()
        self._waking: asyncio.TimerHandle | None = None
        self._woken_at = 0.0
        self._followers: list[Callable[[int, Sequence[bytes]], None]] = []
        self.closed = False
        """Whether no more frames will follow."""

    @property
    def last_seq(self) -> int:
        """The newest published seq."""
        return self._last_seq

    def publish(self, first_seq: int, frames: Sequence[bytes]) -> None:
        """Add the frames of `first_seq` and the seqs after it, and wake the waiters soon."""
        if first_seq != self._last_seq + 1:
            # Another process wrote to the log, from which subscribers read the missing frames.
            self.clear()
        self._frames += frames
        self._bytes += sum(map(len, frames))
        self._last_seq = first_seq + len(frames) - 1
        self._trim()
        self._wake_in_time()
        for follow in self._followers:
            follow(first_seq, frames)

    def on_publish(self, follower: Callable[[int, Sequence[bytes]], None]) -> None:
        """Call `follower` with everything that is published; it must be quick and not raise."""
        self._followers.append(follower)

    def find(self, seq: int) -> bytes | None:
        """Return the frame of `seq`, or None if it must be read from the log."""
        back = self._last_seq - seq
        return self._frames[-1 - back] if 0 <= back < len(self._frames) else None

    def skip_to(self, seq: int) -> None:
        """Continue after `seq`, which is not before the newest event. Wakes all waiters."""
        self._last_seq = seq
        self.clear()
        self._wake()

    def clear(self) -> None:
        """Drop every frame but keep the position."""
        self._frames.clear()
        self._bytes = 0

    async def wait_beyond(self, cursor: int) -> None:
        """Wait until `last_seq` is greater than `cursor` or the ring is closed."""
        while self._last_seq <= cursor and not self.closed:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.add(waiter)
            try:
                await waiter
            finally:
                self._waiters.discard(waiter)

    def close(self) -> None:
        """End every current and future wait."""
        self.closed = True
        self._wake()

    def _wake_in_time(self) -> None:
        """Wake all waiters: at once, or in a moment, if many have been woken a moment ago."""
        if not self._waiters or self._waking is not None:
            return
        loop = asyncio.get_running_loop()
        pause_s = min(len(self._waiters) * _PAUSE_S, _MAX_PAUSE_S)
        wait_s = self._woken_at + pause_s - loop.time()
        if wait_s <= 0:
            self._wake()
        else:
            self._waking = loop.call_later(wait_s, self._wake)

    def _wake(self) -> None:
        if self._waking is not None:
            self._waking.cancel()
            self._waking = None
        if self._waiters:
            self._woken_at = asyncio.get_running_loop().time()
        waiters, self._waiters = self._waiters, set()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    def _trim(self) -> None:
        drop = len(self._frames) - self._max_frames
        if drop < _TRIM_EVERY and self._bytes <= self._max_bytes:
            return
        drop = max(drop, 0)
        size = self._bytes - sum(map(len, self._frames[:drop]))
        while size > self._max_bytes and drop < len(self._frames):
            size -= len(self._frames[drop])
            drop += 1
        del self._frames[:drop]
        self._bytes = size
