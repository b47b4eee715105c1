"""One run of a Litestream daemon: the process, its private directory and its output."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
import stat
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from pds.replication.errors import LitestreamFailed, Trouble
from pds.replication.litestream import bound_to_parent
from pds.replication.litestream.config import DaemonConfig
from pds.replication.litestream.logs import DaemonLog

_MAX_SOCKET_BYTES: Final = 100
"""Linux takes 107 for the name of a Unix socket."""
_SHORT_DIRECTORY: Final = "/tmp"  # noqa: S108 (the directory below it is private)
_PRIVATE: Final = 0o700
_KILLED_S: Final = 10.0


class PrivateDirectory:
    """Where a daemon's configuration and control socket are: only this user may enter.

    Who can write to the socket can make the daemon read any database.
    """

    def __init__(self, name: str) -> None:
        prefix = f"holdfast-{name}-"
        self.path = Path(tempfile.mkdtemp(prefix=prefix))
        if len(os.fsencode(self.socket)) > _MAX_SOCKET_BYTES:
            self.remove()
            self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=_SHORT_DIRECTORY))

    @property
    def socket(self) -> Path:
        """The control socket."""
        return self.path / "control"

    @property
    def config(self) -> Path:
        """The file that Litestream reads."""
        return self.path / "litestream.yml"

    def make_again(self) -> None:
        """Make it anew if something has cleaned it away. Raises `OSError`.

        A directory that somebody else has put in its place is refused.
        """
        with suppress(FileExistsError):
            self.path.mkdir(mode=0o700)
        status = self.path.stat(follow_symlinks=False)
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) != _PRIVATE:
            raise PermissionError(errno.EPERM, "not private any more", str(self.path))

    def remove(self) -> None:
        """Remove it. May be repeated."""
        shutil.rmtree(self.path, ignore_errors=True)


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
            directory.make_again()
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
        """Let it close its databases, but kill it after `within_s`; return whether it had time."""
        with suppress(ProcessLookupError):
            self._process.terminate()
        try:
            async with asyncio.timeout(within_s):
                await self.wait()
        except TimeoutError:
            await self.end()
            return False
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
