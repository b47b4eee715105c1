"""The end of Litestream at the end of the lease, even while the supervisor stands still.

A supervisor that was stopped, or whose disk hangs, can stop nothing, and Litestream would go on to
write to a replica that another has taken over. So a process of its own waits for the deadline.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterable

import structlog

from pds.replication.supervising import kill_at_deadline

_log = structlog.get_logger(__name__)


class Deadline:
    """A process that kills others at a deadline. Use from one task."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._sent = b""

    async def put_off(self, until_s: float, pids: Iterable[int]) -> None:
        """Have children of this process killed at `until_s` of CLOCK_BOOTTIME, and no sooner.

        Starts the process if there is none. Where it cannot be started, the log says so.
        """
        line = " ".join(map(str, (until_s, *pids))).encode() + b"\n"
        process = self._process
        if process is None or process.returncode is not None:
            process = self._process = await _start()
        elif line == self._sent:
            return
        if process is not None and process.stdin is not None:
            process.stdin.write(line)
            self._sent = line

    async def close(self) -> None:
        """Forget the deadline."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            process.kill()
            await process.wait()


async def _start() -> asyncio.subprocess.Process | None:
    try:
        return await asyncio.create_subprocess_exec(
            # Isolated and without site packages: it needs neither, and takes less memory.
            *(sys.executable, "-I", "-S", kill_at_deadline.__file__),
            stdin=asyncio.subprocess.PIPE,
        )
    except OSError as exc:
        reason = exc.strerror or str(exc)
        _log.error("nothing ends litestream if this process stands still", reason=reason)
        return None
