"""One worker as the first process sees it."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import suppress


class WorkerProcess:
    """A running worker. Belongs to one event loop."""

    def __init__(self, number: int, pid: int) -> None:
        """Watch a worker that has just been started."""
        self.number = number
        self.pid = pid
        self.silent_s = 0.0
        """How long it has given no sign of life, while somebody listened."""
        self.is_ready = asyncio.Event()
        """Set when it answers requests."""
        self.has_drained = asyncio.Event()
        """Set when it has no more requests, or has ended."""
        self.has_ended = asyncio.Event()
        self.is_stopping = False
        """Whether it is meant to end."""
        # Its end is seen here, also when the process that it was forked from has ended before it.
        self._pidfd = -1
        try:
            self._pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            self.has_drained.set()
            self.has_ended.set()
        else:
            asyncio.get_running_loop().add_reader(self._pidfd, self._note_end)

    def note_beat(self) -> None:
        """Note a sign of life."""
        self.silent_s = 0.0
        self.is_ready.set()

    def terminate(self) -> None:
        """Let it finish its requests and end."""
        self.is_stopping = True
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        if self._pidfd >= 0:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def _note_end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        self.has_drained.set()
        self.has_ended.set()
