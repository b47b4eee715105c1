"""One run of a Litestream daemon: the process and its output."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from pds.replication.errors import LitestreamFailed, Trouble
from pds.replication.litestream import bound_to_parent
from pds.replication.litestream.config import DaemonConfig
from pds.replication.litestream.logs import DaemonLog
from pds.replication.litestream.private_directory import PrivateDirectory

_KILLED_S: Final = 10.0


class DaemonProcess:
    """A Litestream process, and the task that reads its output."""

    def __init__(self, process: asyncio.subprocess.Process, log: DaemonLog) -> None:
        self._process = process
        self._reading = asyncio.create_task(log.follow(_output_of(process)))

    @classmethod
    async def start(
        cls,
        config: DaemonConfig,
        *,
        program: Path,
        directory: PrivateDirectory,
        environ: Mapping[str, str],
        log: DaemonLog,
    ) -> DaemonProcess:
        """Start a daemon, which does not answer yet. Raises `LitestreamFailed`."""
        try:
            directory.make()
            directory.config.write_text(config.text(directory.socket))
            process = await asyncio.create_subprocess_exec(
                # Isolated and without site packages: it only becomes the program.
                *(sys.executable, "-I", "-S", bound_to_parent.__file__, str(os.getpid())),
                *(str(program), "replicate", "-no-expand-env", "-config", str(directory.config)),
                env=dict(environ),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
        except OSError as exc:
            raise LitestreamFailed(
                f"Litestream cannot be started: {exc.strerror or exc}", Trouble.DAEMON_AWAY
            ) from exc
        return cls(process, log)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it has ended."""
        return self._process.returncode is not None

    async def wait(self) -> str:
        """Wait until it has ended and its output is read; return how it ended."""
        status = await self._process.wait()
        await asyncio.wait((self._reading,))
        return f"killed by {signal.Signals(-status).name}" if status < 0 else f"status {status}"

    def kill(self) -> None:
        """End it at once. Harmless once it has ended."""
        with suppress(ProcessLookupError):
            self._process.kill()

    async def stop(self, *, within_s: float) -> bool:
        """Let it close its databases, but kill it after `within_s`; return whether it had time.

        With 0 seconds it is killed at once, and so it is if this is cancelled.
        """
        if within_s > 0:
            with suppress(ProcessLookupError):
                self._process.terminate()
        try:
            async with asyncio.timeout(within_s):
                await self.wait()
        except TimeoutError:
            await self.end()
            return False
        except BaseException:
            await self.end()
            raise
        return True

    async def end(self) -> None:
        """Kill it and wait until it has ended, but not for ever: a hanging disk may hold it."""
        self.kill()
        with suppress(TimeoutError):
            async with asyncio.timeout(_KILLED_S):
                await self.wait()


def _output_of(process: asyncio.subprocess.Process) -> asyncio.StreamReader:
    if process.stdout is None:  # pragma: no cover (it is a pipe)
        raise LitestreamFailed("Litestream has no output")
    return process.stdout
