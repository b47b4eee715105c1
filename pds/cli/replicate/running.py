"""Running the supervisor in the foreground until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import uvloop

from pds.cli.environment import read_variables
from pds.cli.replicate.configured import replication_options
from pds.cli.replicate.replica import replica_environ
from pds.cli.server_logs import server_logs
from pds.disk.data_directory import refuse_standby
from pds.replication.errors import ReplicationError
from pds.replication.supervisor import run_supervisor
from pds.server.systemd import READY, STOPPING, notify

if TYPE_CHECKING:
    from pds.monitoring.logs import Logs
    from pds.replication.options import ReplicationOptions

_log = structlog.get_logger(__name__)


def run(env_file: Path | None, given: Mapping[str, str], *, until_stdin_ends: bool) -> None:
    """Replicate with the settings, of which `given` ones override others, until a signal.

    With `until_stdin_ends` this is a child of the server: its failures are log lines, and it also
    stops at the end of its input. Raises `CommandFailed` and `ReplicationError`s.
    """
    variables = read_variables(env_file).with_settings(given)
    settings = variables.settings()
    refuse_standby(settings.data_directory)
    # Litestream gets them from the environment of this process.
    os.environ.update(replica_environ(variables.values))
    with server_logs(settings) as logs:
        try:
            options = replication_options(settings, os.environ)
            uvloop.run(_replicate(options, logs, until_stdin_ends=until_stdin_ends))
        except ReplicationError as exc:
            if not until_stdin_ends:
                raise
            _log.error("nothing is replicated", reason=str(exc))
            sys.exit(1)


async def _replicate(options: ReplicationOptions, logs: Logs, *, until_stdin_ends: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if logs.are_in_file:
        loop.add_signal_handler(signal.SIGHUP, logs.reopen)
    async with AsyncExitStack() as stack:
        if until_stdin_ends:
            await _watch_stdin(stack, stop)
        notify(READY)
        supervising = asyncio.create_task(run_supervisor(options, stop))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait((supervising, stopping), return_when=asyncio.FIRST_COMPLETED)
        notify(STOPPING)
        stopping.cancel()
        await supervising


async def _watch_stdin(stack: AsyncExitStack, stop: asyncio.Event) -> None:
    """Stop once standard input ends: the server has closed it, or is gone."""

    class Watched(asyncio.Protocol):
        def eof_received(self) -> None:
            stop.set()

        def connection_lost(self, exc: Exception | None) -> None:
            stop.set()

    transport, _ = await asyncio.get_running_loop().connect_read_pipe(Watched, sys.stdin)
    with suppress(OSError):
        stack.callback(transport.close)
