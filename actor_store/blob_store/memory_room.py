"""The memory that uploads may take together while their parts gather."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from actor_store.blob_store.base import BlobStoreUnavailable

TOTAL_BYTES: Final = 384 * 1024 * 1024
"""More than 64 uploads gather before each has a part of 5 MiB to send: so one always goes on."""
WAIT_S: Final = 20.0
"""How long an upload waits for others to send what they hold."""


class MemoryRoom:
    """A number of bytes, taken and given back in any portions. Requests are served in order."""

    def __init__(self, total_bytes: int = TOTAL_BYTES, *, wait_s: float = WAIT_S) -> None:
        self._free = total_bytes
        self._wait_s = wait_s
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    @property
    def free_bytes(self) -> int:
        """How much is not taken."""
        return self._free

    async def take(self, size: int) -> None:
        """Take some bytes. Raises `BlobStoreUnavailable` if there are none in time."""
        if not self._waiting and size <= self._free:
            self._free -= size
            return
        granted = asyncio.get_running_loop().create_future()
        self._waiting.append((size, granted))
        try:
            async with asyncio.timeout(self._wait_s):
                await granted
        except BaseException as exc:
            if granted.done() and not granted.cancelled():
                self._free += size
            self._grant()
            if isinstance(exc, TimeoutError):
                raise BlobStoreUnavailable("uploads have taken all memory they may") from exc
            raise

    def give(self, size: int) -> None:
        """Give some bytes back."""
        self._free += size
        self._grant()

    def _grant(self) -> None:
        while self._waiting:
            size, granted = self._waiting[0]
            # The future of one who has left is cancelled.
            if not granted.cancelled():
                if size > self._free:
                    return
                self._free -= size
                granted.set_result(None)
            self._waiting.popleft()
