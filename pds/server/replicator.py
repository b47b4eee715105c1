"""`pds replicate` as a child of the server: started with it, stopped after it, and kept running.

The child reads settings and writes log lines as the server does. It stops when its standard input
ends: because the server has closed its files and wants the last writes sent, or because the server
is gone in whatever way. It is in a session of its own, so that Ctrl-C reaches the server only.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import structlog

from pds.config.env_file import VARIABLE as ENV_FILE
from pds.replication.replica.url import ReplicaUrl

if TYPE_CHECKING:
    from pds.config import Settings

STOP_WITH_PARENT: Final = "--until-stdin-ends"
"""The option of `pds replicate` for a child."""
# -P: nothing of the working directory is imported, such as the data directory /pds from the root.
COMMAND: Final = (sys.executable, "-P", "-m", "pds", "replicate", STOP_WITH_PARENT)
DRAIN_S: Final = 30.0
"""How long the child may take to send the last writes once the server has closed its files."""
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 60.0
_STEADY_S: Final = 60.0
"""After a run of this length, the pause is the first one again."""

_log = structlog.get_logger(__name__)


def replicator_of(settings: Settings, environ: Mapping[str, str]) -> Replicator | None:
    """Return the child of a server that is to replicate itself; None if it is not.

    `environ` has the settings. Raises `InvalidReplicaUrl`, so that a URL which cannot work is
    reported at once rather than by a child that fails again and again.
    """
    url = settings.replication.url
    if url is None or not settings.replication.with_server:
        return None
    ReplicaUrl.parse(url, environ=environ)
    return Replicator(environ)


class Replicator:
    """The child process, and its next one when it ends before it should."""

    def __init__(
        self,
        environ: Mapping[str, str],
        *,
        command: Sequence[str] = COMMAND,
        first_pause_s: float = _FIRST_PAUSE_S,
        drain_s: float = DRAIN_S,
    ) -> None:
        """`environ` has all settings of the server, whatever file they come from."""
        self._command = tuple(command)
        # Not the file again, which may have changed; nor systemd's socket, which is the server's.
        self._environ = {**environ, ENV_FILE: os.devnull}
        self._environ.pop("NOTIFY_SOCKET", None)
        self._first_pause_s = first_pause_s
        self._drain_s = drain_s
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self.starts = 0
        """How often a child has been started."""

    @property
    def pid(self) -> int | None:
        """The process that runs now."""
        return None if self._process is None else self._process.pid

    def start(self) -> None:
        """Start the child soon, and start it again whenever it ends. Call it once."""
        self._keeper = asyncio.create_task(self._keep_running())

    async def stop(self) -> None:
        """Let the child send what the server has written last, and end. Takes `drain_s` at most."""
        if self._keeper is None:
            return
        self._stopping.set()
        if self._process is not None:
            _log.info("waiting for replication to send the last writes", pid=self._process.pid)
            _end_input(self._process)
        done, _ = await asyncio.wait((self._keeper,), timeout=self._drain_s)
        if not done:
            _log.error(
                "replication was cut off before it had sent the last writes",
                waited_s=self._drain_s,
                remedy="The next start sends them. Look at the place of the replica meanwhile.",
            )
            self._signal(signal.SIGKILL)
            await asyncio.wait((self._keeper,))

    def hang_up(self) -> None:
        """Let the child reopen its log file."""
        self._signal(signal.SIGHUP)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def _keep_running(self) -> None:
        pause_s = self._first_pause_s
        while True:
            started_s = time.monotonic()
            ended = await self._run()
            if self._stopping.is_set():
                return
            lasted_s = time.monotonic() - started_s
            if lasted_s >= _STEADY_S:
                pause_s = self._first_pause_s
            _log.error(
                "replication has ended and is started again",
                ended=ended,
                lasted_s=round(lasted_s, 1),
                again_in_s=pause_s,
                remedy="The lines before this one say why. The server goes on without it.",
            )
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._stopping.wait()
                return
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    async def _run(self) -> str:
        """Start the child and wait for its end; return how it ended."""
        self.starts += 1
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                env=self._environ,
                start_new_session=True,
            )
        except OSError as exc:
            return f"it cannot be started: {exc.strerror}"
        self._process = process
        if self._stopping.is_set():
            _end_input(process)
        status = await process.wait()
        self._process = None
        return f"signal {-status}" if status < 0 else f"exit status {status}"


def _end_input(process: asyncio.subprocess.Process) -> None:
    if process.stdin is not None:
        process.stdin.close()
