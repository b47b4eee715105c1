"""`pds standby promote`."""

from __future__ import annotations

import asyncio
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from pds.cli.environment import env_file_option, explain_failures, read_variables
from pds.cli.failures import INTERRUPTED, CommandFailed, note
from pds.cli.output import say
from pds.cli.replica_options import identity_option
from pds.disk.data_directory import DataDirectoryHeld
from pds.replication.errors import ReplicationError

if TYPE_CHECKING:
    from pds.cli.recovering import Original
    from pds.replication.restore.target import RestoreTarget
    from pds.replication.standby.state import StandbyState

_STOPPING_S: Final = 120.0
"""How long the process that follows the replica may take to stop."""


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--from",
    "url",
    metavar="URL",
    help="The replica, if its URL has a password; else the one that the standby follows.",
)
@identity_option
@click.option("--force", is_flag=True, help="Also while the primary still replicates.")
@click.option(
    "--without-replica",
    is_flag=True,
    help="Do not ask the replica, which is lost, too: use what has been copied.",
)
@env_file_option
@explain_failures
def promote(
    directory: Path,
    url: str | None,
    identity: Path | None,
    force: bool,
    without_replica: bool,
    env_file: Path | None,
) -> None:
    """Make a server of a standby, in the place of the one that it follows.

    Stop the old server first: two servers with one identity contradict each other. The command
    asks a running `pds standby` to stop, sees that the primary does not replicate any more, which
    takes up to a minute unless that was stopped in order, takes the replica over, applies what is
    newest in it, and makes the databases agree, as after a crash. After that, the old primary
    cannot replicate to this place any more, and the directory is an ordinary data directory. An
    interrupted promotion goes on when the command is repeated.

    \b
    Examples:
      pds standby promote /pds --env-file /etc/holdfast/pds.env
    """
    from pds.cli.recovering import Original, recover_copy
    from pds.monitoring.logs import configure_logs

    configure_logs(level="warning")
    original = Original.read(read_variables(env_file).values)
    with _stopped(directory) as state:
        work = _Work(url, original, original.target(directory), state, identity, force)
        work.promote(without_replica=without_replica)
    say("Making the databases agree …")
    for line in recover_copy(original, directory):
        say(line)
    settings = _settings_of(directory, original)
    say(f"{directory} is a data directory now. Next, with the settings of the server:")
    say(f"  {settings}pds doctor --offline --blobs")
    say(f"  {settings}pds serve")
    say("Then let PDS_HOSTNAME lead to this machine, and never start the old server again.")


def _settings_of(directory: Path, original: Original) -> str:
    """Return the assignments before a command that make the directory that of the server."""
    if original.is_at(directory):
        return ""
    changed = original.environ_in(directory)
    names = ("PDS_DATA_DIRECTORY", "PDS_BLOBSTORE_DISK_LOCATION")
    return "".join(f"{name}={shlex.quote(changed[name])} " for name in names if name in changed)


@contextmanager
def _stopped(directory: Path) -> Iterator[StandbyState]:
    """Ask a running follower to stop, and hold the standby within a block."""
    from pds.replication.standby.directory import STOP_FILE, promoting, require_standby

    require_standby(directory)
    end_s = time.monotonic() + _STOPPING_S
    request = directory / STOP_FILE
    has_stopped = False
    try:
        while True:
            try:
                with promoting(directory) as state:
                    has_stopped = request.exists()
                    request.unlink(missing_ok=True)
                    yield state
                    return
            except DataDirectoryHeld:
                if time.monotonic() > end_s:
                    raise
                if not request.exists():
                    say("Waiting for `pds standby` to stop …")
                    request.touch()
                time.sleep(0.2)
    except (CommandFailed, ReplicationError):
        if has_stopped:
            note("`pds standby` has been stopped: start it again, unless you promote.")
        raise
    finally:
        request.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _Work:
    """What is promoted."""

    url: str | None
    original: Original
    target: RestoreTarget
    state: StandbyState
    identity: Path | None
    force: bool

    def promote(self, *, without_replica: bool) -> None:
        from pds.replication.standby.promotion import own_files

        if without_replica:
            note("An old primary that comes back goes on replicating to the old place.")
        else:
            try:
                asyncio.run(self._take_over())
            except KeyboardInterrupt:
                raise CommandFailed(
                    "Interrupted. Repeat the command to go on.", status=INTERRUPTED
                ) from None
        own_files(self.target, self.state)

    async def _take_over(self) -> None:
        from pds.cli.replicate.replica import open_replica
        from pds.replication.standby.following import Standby
        from pds.replication.standby.promotion import take_over

        async with open_replica(
            self._source(), self.original.values, identity=self.identity
        ) as replica:
            if replica.lacks_identity:
                raise CommandFailed(
                    "The newest signing keys cannot be opened without the age identity.",
                    remedy="pds standby promote DIR --identity FILE",
                )
            standby = Standby(replica.place, self.target, self.state, opener=replica.opener)
            standby.status_state = "promoting"
            try:
                with standby.writing_status():
                    await take_over(
                        standby,
                        replica.place,
                        self.state,
                        by_force=self.force,
                        tell=lambda text: say(f"{text[:1].upper()}{text[1:]} …"),
                    )
            finally:
                await asyncio.to_thread(standby.close)

    def _source(self) -> str:
        """Return the URL: that of the standby has no password."""
        from pds.cli.replicate.replica import replica_environ
        from pds.replication.replica.url import ReplicaUrl
        from pds.replication.standby.directory import source_of

        known = source_of(self.state)
        given = self.url or self.original.values.get("PDS_REPLICATION_URL")
        if given:
            shown = str(ReplicaUrl.parse(given, environ=replica_environ(self.original.values)))
            if shown == known:
                return given
            if self.url:
                raise CommandFailed(
                    f"{self.target.directory} is a standby from {known}, not from {shown}."
                )
        return known
