"""`pds standby`: a warm copy of a replicated server, that can take its place."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from pds.cli.environment import env_file_option, explain_failures
from pds.cli.lazy_group import LazyGroup, refuse_options
from pds.cli.replica_options import from_option, identity_option

COMMANDS: Final = {
    "promote": "Make a server of a standby, in the place of the one that it follows.",
    "status": "Show how far a standby is behind, and what keeps it there.",
}
"""Every command and the first line of its help."""


@click.group(cls=LazyGroup, package=__name__, summaries=COMMANDS, invoke_without_command=True)
@from_option
@click.option(
    "--to",
    "directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="The directory of the standby: empty, or the standby of an earlier run. Required.",
)
@identity_option
@env_file_option
@click.pass_context
@explain_failures
def standby(
    ctx: click.Context,
    url: str | None,
    directory: Path | None,
    identity: Path | None,
    env_file: Path | None,
) -> None:
    """Keep a warm copy of a replicated server, within seconds of the replica.

    Runs in the foreground, on another machine than the server, with the server's settings. The
    first run copies everything; later ones go on from what is there. SIGTERM or Ctrl-C stops it,
    and so may a power cut. While the replica is away, it goes on trying. No server starts on the
    directory until `pds standby promote` has made one of it.

    Takes replicas of `pds replicate`; of those of litestream.yml, which do not tell what has
    changed, `pds restore` makes a copy.

    \b
    Examples:
      pds standby --from s3://my-backups/pds --to /pds --env-file /etc/holdfast/pds.env
      pds standby status /pds
      pds standby promote /pds --env-file /etc/holdfast/pds.env
    """
    if ctx.invoked_subcommand is not None:
        refuse_options(ctx)
        return
    if directory is None:
        raise click.UsageError("Name the directory of the standby with --to DIR.")
    from pds.cli.standby.following import run

    run(url, directory, identity, env_file)
