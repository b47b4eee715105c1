"""Running the supervisor in the foreground until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import structlog
import uvloop

from database.errors import DatabaseError
from pds.cli.environment import read_variables
from pds.cli.failures import CommandFailed
from pds.cli.replicate.configured import replication_options
from pds.cli.replicate.replica import replica_environ
from pds.cli.server_logs import server_logs
from pds.disk.data_directory import refuse_standby
from pds.replication.errors import ReplicaInUse, ReplicationError
from pds.replication.replica.url import ReplicaUrl
from pds.replication.restore.marker import refuse_unfinished
from pds.replication.status import ReplicationStatus, read_status, write_status
from pds.replication.supervising.supervisor import run_supervisor
from pds.server.process import raise_file_limit
from pds.server.systemd import READY, STOPPING, notify

if TYPE_CHECKING:
    from pds.cli.environment import Variables
    from pds.config import Settings
    from pds.monitoring.logs import Logs
    from pds.replication.options import ReplicationOptions

_log = structlog.get_logger(__name__)


def run(env_file: Path | None, given: Mapping[str, str], *, until_stdin_ends: bool) -> None:
    """Replicate with the settings, of which `given` ones override others, until a signal.

    With `until_stdin_ends` this is a child of the server: its failures are log lines, and it also
    stops at the end of its input. Raises `CommandFailed`, `ReplicationError`s and `DatabaseError`s.
    """
    own = read_variables(env_file)
    variables = own.with_settings(given)
    if url := given.get("PDS_REPLICATION_URL"):
        # The settings would blame a variable that nobody has set.
        ReplicaUrl.parse(url, environ=replica_environ(own.values))
    settings = variables.settings()
    refuse_standby(settings.data_directory)
    # Litestream gets them from the environment of this process.
    os.environ.update(replica_environ(variables.values))
    _require_no_checkpoints(own, settings)
    options = replication_options(settings, os.environ)
    raise_file_limit()
    with server_logs(settings) as logs:
        try:
            refuse_unfinished(options.data_directory)
            uvloop.run(_replicate(options, logs, until_stdin_ends=until_stdin_ends))
        except (ReplicationError, DatabaseError) as exc:
            if not isinstance(exc, ReplicaInUse):
                _tell_failure(options, str(exc))
            if not until_stdin_ends:
                raise
            _log.error("nothing is replicated", reason=str(exc))
            sys.exit(1)


def _require_no_checkpoints(own: Variables, settings: Settings) -> None:
    """Raise `CommandFailed` if the server does not leave checkpoints to Litestream.

    It does not know what this command alone was told. Of two that make checkpoints, one may begin a
    WAL anew before the other has read it: the replica would lack changes, and could be corrupt.
    """
    if own.values.get("PDS_REPLICATION_URL") or settings.database.disable_wal_auto_checkpoint:
        return
    raise CommandFailed(
        "The server makes checkpoints itself, so that the replica could lack changes.",
        remedy="set PDS_REPLICATION_URL in the environment file of the server, restart it, and "
        "type `pds replicate` again",
    )


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
        stopping = asyncio.create_task(_tell_stop(stop))
        try:
            await run_supervisor(options, stop)
        finally:
            stopping.cancel()
    _log.info("replication has stopped")


async def _tell_stop(stop: asyncio.Event) -> None:
    await stop.wait()
    notify(STOPPING)
    _log.info("sending what is left")


async def _watch_stdin(stack: AsyncExitStack, stop: asyncio.Event) -> None:
    """Stop once standard input ends: the server has closed it, or is gone."""

    class Watched(asyncio.Protocol):
        def connection_lost(self, exc: Exception | None) -> None:
            stop.set()

    transport, _ = await asyncio.get_running_loop().connect_read_pipe(Watched, sys.stdin)
    stack.callback(transport.close)


def _tell_failure(options: ReplicationOptions, reason: str) -> None:
    """Put a failure into the status file, unless the supervisor has got as far as doing so."""
    before = read_status(options.status_file)
    if before is not None and before.pid == os.getpid():
        return
    now_s = time.time()
    status = before or ReplicationStatus(
        pid=os.getpid(),
        state="failed",
        started_s=now_s,
        written_s=now_s,
        replica=str(options.replica),
        service_did=options.service_did,
        server_id="",
    )
    failed = replace(
        status,
        pid=os.getpid(),
        state="failed",
        written_s=now_s,
        replica=str(options.replica),
        last_error=reason,
        last_error_s=now_s,
    )
    write_status(options.status_file, failed)
