"""`pds restore`: from a replica to a data directory."""

from __future__ import annotations

import asyncio
import shlex
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from pds.cli.environment import env_file_option, explain_failures, read_variables
from pds.cli.failures import INTERRUPTED, CommandFailed
from pds.cli.output import json_option, print_json, say
from pds.cli.progress import progress_bars
from pds.cli.replica_options import from_option, identity_option, require_url

if TYPE_CHECKING:
    from pds.cli.recovering import Original
    from pds.replication.restore.options import RestoreOptions
    from pds.replication.restore.report import RestoreReport
    from pds.reporting import Progress

_LEFT_ALONE: Final = (
    "Nothing was recovered: no server may start on this copy while the original runs."
)
LACKING: Final = 3
"""The exit status if everything is restored that the replica has, and it lacked something."""


def _parse_time(_ctx: click.Context, _param: click.Parameter, text: str | None) -> int | None:
    """Return a time in Unix milliseconds."""
    if text is None:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError as exc:
        raise click.BadParameter("write a time such as 2026-11-30T12:00:00Z") from exc
    if when.tzinfo is None:
        raise click.BadParameter(f"say in which time zone it is, such as {text}Z for UTC")
    if when > datetime.now(UTC):
        raise click.BadParameter("it is in the future")
    return int(when.timestamp() * 1000)


@click.command()
@from_option
@click.option(
    "--to",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="The data directory to make. It must be empty, or have this restore, interrupted.",
)
@click.option("--did", "dids", multiple=True, help="Restore this account only; may be repeated.")
@click.option(
    "--timestamp",
    "as_of_ms",
    metavar="TIME",
    callback=_parse_time,
    help="Restore databases as they were then, such as 2026-11-30T12:00:00Z.",
)
@identity_option
@click.option("--without-keys", is_flag=True, help="Leave out signing keys, which are secret.")
@click.option("--without-blobs", is_flag=True, help="Leave out blobs.")
@click.option(
    "--no-recovery",
    is_flag=True,
    help="Change nothing in what was restored: for a copy, while the original runs elsewhere.",
)
@json_option
@env_file_option
@explain_failures
def restore(
    url: str | None,
    directory: Path,
    dids: tuple[str, ...],
    as_of_ms: int | None,
    identity: Path | None,
    without_keys: bool,
    without_blobs: bool,
    no_recovery: bool,
    as_json: bool,
    env_file: Path | None,
) -> None:
    """Restore a server, or some accounts, from a replica.

    The databases of the server come first, then those of the accounts with their signing keys,
    several at a time, then blobs. At the end the databases are made to agree, as after a crash.
    What the replica lacks is listed, and stops nothing. An interrupted restore goes on when the
    command is repeated. Takes replicas of `pds replicate`, and of litestream.yml, which have
    databases only.

    The exit status is 0 if the replica had everything, 3 if it lacked something, 1 if nothing can
    be restored, or not now.

    \b
    Examples:
      pds restore --from s3://my-backups/pds --to /pds
      pds restore --from file:///mnt/backup/pds --to /pds --timestamp 2026-11-30T12:00:00Z
      pds restore --from s3://my-backups/pds --to /tmp/one --did did:plc:ewvi7nxzyoun6zhxrhs64oiz
    """
    from pds.cli.recovering import Original, recover_copy
    from pds.monitoring.logs import configure_logs
    from pds.replication.restore.options import RestoreOptions

    configure_logs(level="warning")
    _check_dids(dids)
    original = Original.read(read_variables(env_file).values)
    remedy = f"pds restore --from URL --to {shlex.quote(str(directory))}"
    source = require_url(url, original.values, to="restore from", remedy=remedy)
    options = RestoreOptions(
        dids=frozenset(dids) or None,
        services=not dids,
        keys=not without_keys,
        blobs=not without_blobs,
        as_of_ms=as_of_ms,
    )
    with progress_bars() as progress:
        work = _Work(source, original, directory, options, identity, progress)
        report = _run(work)
        if no_recovery:
            report.next_steps.append(_LEFT_ALONE)
        elif not dids:
            progress("recovery", 0, 0)
            report.next_steps[:0] = recover_copy(original, directory)
    if as_json:
        print_json(report.to_json())
    else:
        for line in report.lines():
            say(line)
    sys.exit(0 if report.is_complete else LACKING)


def _check_dids(dids: tuple[str, ...]) -> None:
    from repo.syntax import is_did

    for did in dids:
        if not is_did(did):
            raise click.UsageError(f"{did!r} is not a DID. See `pds account list`.")


@dataclass(frozen=True, slots=True)
class _Work:
    """What is to be restored, from where, and to where."""

    source: str
    original: Original
    directory: Path
    options: RestoreOptions
    identity: Path | None
    progress: Progress

    async def restore(self) -> RestoreReport:
        from pds.cli.replicate.replica import open_replica
        from pds.replication.restore.restoring import Restore

        async with open_replica(
            self.source,
            self.original.values,
            identity=self.identity,
            opens_keys=self.options.keys,
        ) as replica:
            run = Restore(
                replica.place,
                replica.source,
                self.original.target(self.directory),
                self.options,
                opener=replica.opener,
                live=self.original.live_target(self.directory),
                progress=self.progress,
            )
            return await run.run()


def _run(work: _Work) -> RestoreReport:
    try:
        return asyncio.run(work.restore())
    except KeyboardInterrupt:
        raise CommandFailed(
            "Interrupted. What has been restored stays; repeat the command to go on.",
            status=INTERRUPTED,
        ) from None
