"""A Litestream daemon that keeps running: started, watched, restarted, stopped."""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import structlog

from pds.replication.errors import LitestreamFailed, Trouble
from pds.replication.litestream.client import CONCURRENCY, LitestreamClient
from pds.replication.litestream.config import DaemonConfig
from pds.replication.litestream.environment import daemon_environment
from pds.replication.litestream.logs import DaemonLog
from pds.replication.litestream.private_directory import PrivateDirectory
from pds.replication.litestream.process import DaemonProcess
from pds.replication.litestream.program import Program
from pds.replication.litestream.usage import Usage, usage_of

_POLL_S: Final = 0.02
STOP_S: Final = 20.0

_log = structlog.get_logger(__name__)


@dataclass(slots=True, frozen=True)
class Patience:
    """How long a daemon is waited for, in seconds."""

    start_s: float = 30.0
    """Until the first answer."""
    check_s: float = 5.0
    """Between two checks that it answers."""
    answer_s: float = 15.0
    """What answers later than this hangs, and is killed. A busy machine may take seconds."""
    backoff_s: float = 0.25
    """Before the first restart; each further one waits twice as long…"""
    max_backoff_s: float = 30.0
    """… but not longer than this."""
    settled_s: float = 60.0
    """After this long a run, the next restart is quick again."""


@dataclass(slots=True, frozen=True)
class Bounds:
    """What a daemon may use before it is started anew, in a moment without requests.

    Litestream makes a connection to S3 for each database that is registered, and keeps it for 90
    seconds after the database is unregistered. It also keeps some memory for every database that it
    has ever had open.
    """

    open_files: int = 2500
    """Files and connections, 40 KB each; never more than half of what Linux allows."""
    rss_bytes: int = 350 * 1024 * 1024
    """Memory; 500 idle databases take 180 MB."""
    min_run_s: float = 5.0
    """How long it runs at least."""

    def are_crossed(self, usage: Usage) -> bool:
        """Whether a process uses more."""
        allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[1] // 2
        return usage.open_files > min(self.open_files, allowed) or usage.rss_bytes > self.rss_bytes


class DaemonState(StrEnum):
    """What a daemon does at the moment."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"


class LitestreamDaemon:
    """A daemon with its client. After each restart it knows no database, and `on_restart` runs.

    `program` is the one to run; `environ` is that of this process, of which the daemon gets what it
    needs. The daemon ends with this process, however that ends.
    """

    def __init__(
        self,
        config: DaemonConfig,
        *,
        program: Program,
        environ: Mapping[str, str] | None = None,
        concurrency: int = CONCURRENCY,
        patience: Patience | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        self.name = config.name
        self.state = DaemonState.STOPPED
        self.restarts = 0
        """How often it has ended by itself or hung, and was started anew."""
        self.renewals = 0
        """How often it was started anew because it used too much."""
        self.on_restart: Callable[[], Awaitable[None]] | None = None
        """Called after each restart; the databases that were registered have to be again."""
        self._config = config
        self._program = program
        self._environ = daemon_environment(os.environ if environ is None else environ)
        self._patience = patience or Patience()
        self._bounds = bounds or Bounds()
        self._log = DaemonLog(config.name)
        self._directory = PrivateDirectory(config.name)
        self.client = LitestreamClient(self._directory.socket, concurrency=concurrency)
        self._process: DaemonProcess | None = None
        self._watching: asyncio.Task[None] | None = None
        self._failure: str | None = None

    @property
    def pid(self) -> int | None:
        """The process's id, or None while there is none."""
        return None if self._process is None or self._process.has_ended else self._process.pid

    @property
    def last_error(self) -> str | None:
        """Why it last ended or did not start; without that, the last error that it logged."""
        return self._failure or self._log.last_error

    def usage(self) -> Usage | None:
        """Return what the process uses, or None while there is none."""
        return None if self.pid is None else usage_of(self.pid)

    async def start(self) -> None:
        """Start it and wait until it answers.

        Raises `LitestreamFailed` with what it has printed; then nothing is left running.
        """
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise
        self._watching = asyncio.create_task(self._keep_running())

    async def stop(self, *, within_s: float = STOP_S) -> None:
        """Stop it; after `within_s` seconds it is killed. May be repeated.

        A database that is still registered is synced once more, if the replica answers.
        """
        watching, self._watching = self._watching, None
        if watching is not None:
            watching.cancel()
            await asyncio.wait((watching,))
        process, self._process = self._process, None
        if process is not None and not await process.stop(within_s=within_s):
            _log.warning("litestream was killed: it did not stop in time", daemon=self.name)
        await self.client.close()
        self._directory.remove()
        self.state = DaemonState.STOPPED

    async def _start(self) -> None:
        self.state = DaemonState.STARTING
        self.client.forget()
        self._process = await DaemonProcess.start(
            self._config,
            program=self._program.path,
            directory=self._directory,
            environ=self._environ,
            log=self._log,
        )
        await self._until_it_answers(self._process)
        self.state = DaemonState.RUNNING

    async def _until_it_answers(self, process: DaemonProcess) -> None:
        deadline = time.monotonic() + self._patience.start_s
        while not process.has_ended and time.monotonic() < deadline:
            with suppress(LitestreamFailed):
                if await self.client.pid(timeout_s=self._patience.answer_s) == process.pid:
                    return
            await asyncio.sleep(_POLL_S)
        if process.has_ended:
            how = await process.wait()
        else:
            how = "no answer on its socket"
            await process.end()
        printed = f": {self._log.last_error}" if self._log.last_error else ""
        raise LitestreamFailed(f"Litestream does not start ({how}){printed}", Trouble.DAEMON_AWAY)

    async def _keep_running(self) -> None:
        """Start the daemon anew each time that it ends, hangs or uses too much."""
        backoff_s = self._patience.backoff_s
        while True:
            started_s = time.monotonic()
            if self._process is not None and self.state is DaemonState.RUNNING:
                failure = await self._until_it_fails(self._process)
                if failure is None:
                    await self._renew(self._process)
                    continue
                self._failure = failure
                self.state = DaemonState.STARTING
                _log.error(
                    "litestream has ended, and is started again",
                    daemon=self.name,
                    reason=self._failure,
                    last_error=self._log.last_error,
                )
            if time.monotonic() - started_s >= self._patience.settled_s:
                backoff_s = self._patience.backoff_s
            await self.client.close()
            await asyncio.sleep(backoff_s)
            backoff_s = min(2 * backoff_s, self._patience.max_backoff_s)
            self.restarts += 1
            await self._start_again()

    async def _renew(self, process: DaemonProcess) -> None:
        """Replace a process that uses too much, between requests."""
        async with self.client.quiet():
            self.renewals += 1
            self.state = DaemonState.STARTING
            # All that was asked for is done and on disk, so that nothing is lost by a kill. Closing
            # every database first would take seconds, in which none is replicated.
            await process.end()
            await self.client.close()
            is_running = await self._try_to_start()
        if is_running:
            await self._tell_owners()

    async def _start_again(self) -> None:
        if await self._try_to_start():
            _log.info("litestream runs again", daemon=self.name, restarts=self.restarts)
            await self._tell_owners()

    async def _try_to_start(self) -> bool:
        try:
            await self._start()
        except LitestreamFailed as exc:
            self._failure = str(exc)
            _log.error("litestream does not start", daemon=self.name, reason=str(exc))
            return False
        return True

    async def _tell_owners(self) -> None:
        if self.on_restart is not None:
            try:
                await self.on_restart()
            except Exception as exc:  # noqa: BLE001 (no failure of theirs may end the watch)
                reason = str(exc) or type(exc).__name__
                _log.error("not all is registered again", daemon=self.name, reason=reason)

    async def _until_it_fails(self, process: DaemonProcess) -> str | None:
        """Wait until the process has ended, and return why; kill it if it hangs.

        Returns None if it runs, but uses too much.
        """
        started_s = time.monotonic()
        ending = asyncio.create_task(process.wait())
        try:
            while not (await asyncio.wait((ending,), timeout=self._patience.check_s))[0]:
                try:
                    await self.client.pid(timeout_s=self._patience.answer_s)
                except LitestreamFailed as exc:
                    if not process.has_ended:
                        await process.end()
                        return f"killed, because it hung: {exc}"
                usage = self.usage()
                is_young = time.monotonic() - started_s < self._bounds.min_run_s
                if usage is not None and not is_young and self._bounds.are_crossed(usage):
                    return None
            return ending.result()
        finally:
            ending.cancel()
