"""Following a replica in the foreground until told to stop."""

from __future__ import annotations

import asyncio
import os
import shlex
import signal
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, aclosing, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog
import uvloop

from pds.cli.environment import read_variables
from pds.cli.failures import CommandFailed
from pds.cli.recovering import Original
from pds.cli.replica_options import require_url
from pds.cli.replicate.replica import open_replica
from pds.cli.server_logs import server_logs
from pds.replication.errors import ReplicaUnavailable
from pds.replication.replica.manifest import read_manifest
from pds.replication.restore.patience import PatientReader
from pds.replication.standby.directory import (
    STATUS_FILE,
    holding_standby,
    service_of,
    settle,
    source_of,
)
from pds.replication.standby.following import Standby
from pds.replication.standby.status import StandbyStatus, write_status
from pds.server.systemd import READY, STOPPING, notify

if TYPE_CHECKING:
    from pds.cli.replicate.replica import OpenReplica
    from pds.replication.restore.target import RestoreTarget
    from pds.replication.standby.state import StandbyState

_RETRY_S: Final = 5.0
_TELL_EVERY_S: Final = 1.0

_log = structlog.get_logger(__name__)


def run(url: str | None, directory: Path, identity: Path | None, env_file: Path | None) -> None:
    """Follow the replica at `url` into `directory` until a signal.

    Raises `CommandFailed`, `ReplicationError`s, `DataDirectoryError`s and `DatabaseError`s.
    """
    original = Original.read(read_variables(env_file).values)
    remedy = f"pds standby --from URL --to {shlex.quote(str(directory))}"
    source = require_url(url, original.values, to="follow", remedy=remedy)
    target = original.target(directory)
    # Locked for longer than the event loop runs, whose threads may still write for a moment.
    with server_logs(original.settings), holding_standby(target) as state:
        uvloop.run(_Following(source, original, target, state, identity).run())


@dataclass(slots=True)
class _Following:
    """What is followed, and to where."""

    url: str
    original: Original
    target: RestoreTarget
    state: StandbyState
    identity: Path | None
    error: ReplicaUnavailable | None = None
    error_s: float | None = None
    started_s: float = field(default_factory=time.time)

    async def run(self) -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        notify(READY)
        while not stop.is_set():
            try:
                await self._follow(stop)
            except ReplicaUnavailable as exc:
                # A new standby would wait in vain for a URL with a mistake.
                if not source_of(self.state):
                    raise
                _log.warning("the replica cannot be reached", reason=str(exc))
                self.error, self.error_s = exc, time.time()
                with self._telling(), suppress(TimeoutError):
                    async with asyncio.timeout(_RETRY_S):
                        await stop.wait()
        notify(STOPPING)

    async def _follow(self, stop: asyncio.Event) -> None:
        async with AsyncExitStack() as stack:
            with self._telling():
                replica = await stack.enter_async_context(
                    open_replica(self.url, self.original.values, identity=self.identity)
                )
                await self._settle(replica)
            standby = Standby(replica.place, self.target, self.state, opener=replica.opener)
            try:
                await standby.follow(stop)
            finally:
                await asyncio.to_thread(standby.close)

    async def _settle(self, replica: OpenReplica) -> None:
        manifest = await read_manifest(replica.place)
        if manifest is None:
            raise await _no_manifest(replica)
        if replica.lacks_identity:
            raise CommandFailed(
                f"The signing keys in {replica.source} are encrypted for {manifest.recipient}.",
                remedy="pds standby --identity FILE",
            )
        directory = self.target.directory
        settle(self.state, directory, source=replica.source, service_did=manifest.service_did)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Write a status each second within a block, as long as the replica is not open."""

        async def tell() -> None:
            while True:
                write_status(self.target.directory / STATUS_FILE, self._status())
                await asyncio.sleep(_TELL_EVERY_S)

        telling = asyncio.create_task(tell())
        try:
            yield
        finally:
            telling.cancel()

    def _status(self) -> StandbyStatus:
        return StandbyStatus(
            pid=os.getpid(),
            state="starting" if self.error is None else "unreachable",
            started_s=self.started_s,
            written_s=time.time(),
            source=source_of(self.state),
            service_did=service_of(self.state),
            databases=self.state.count(),
            last_error=None if self.error is None else str(self.error),
            last_error_s=self.error_s,
        )


async def _no_manifest(replica: OpenReplica) -> CommandFailed:
    """Return why a place cannot be followed."""
    async with aclosing(PatientReader(replica.place).list("")) as files:
        async for _ in files:
            return CommandFailed(
                f"{replica.source} is no replica of `pds replicate`: it has no manifest.json. That "
                "of a litestream.yml does not tell what has changed, so nothing can follow it. A "
                "restore copies it as it is.",
                remedy="pds restore --from URL --to DIR",
            )
    return CommandFailed(
        f"{replica.source} is empty. Start replicating to it first.",
        remedy="pds replicate --to URL",
    )
