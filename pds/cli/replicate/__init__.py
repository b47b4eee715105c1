"""`pds replicate`: a copy of the whole server elsewhere, kept current with Litestream."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from pds.cli.environment import env_file_option, explain_failures
from pds.cli.lazy_group import LazyGroup, refuse_options

COMMANDS: Final = {
    "status": "Show how far the replica is behind, and what keeps it there.",
    "verify": "Restore accounts from the replica to a scratch directory, and check them.",
}
"""Every command and the first line of its help."""


@click.group(cls=LazyGroup, package=__name__, summaries=COMMANDS, invoke_without_command=True)
@click.option(
    "--to",
    "url",
    metavar="URL",
    help="The place of the replica: s3://bucket/path, file:///path or sftp://user@host/path; "
    "PDS_REPLICATION_URL if not given.",
)
@click.option(
    "--hot-set",
    type=click.IntRange(1),
    help="Accounts whose databases stay open at most; PDS_REPLICATION_HOT_SET if not given.",
)
@click.option(
    "--until-stdin-ends", is_flag=True, hidden=True, help="Stop when standard input ends."
)
@env_file_option
@click.pass_context
@explain_failures
def replicate(
    ctx: click.Context,
    url: str | None,
    hot_set: int | None,
    until_stdin_ends: bool,
    env_file: Path | None,
) -> None:
    """Replicate the whole server to another place, continuously.

    Databases, signing keys and blobs on the disk reach the place within a second or two. Runs
    beside the server, in the foreground, with its settings; SIGTERM or Ctrl-C sends what is left
    and stops. `pds serve --replicate URL` runs it by itself. `pds restore` is the way back.
    Credentials of S3 are AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment or in the
    file of the settings. Set PDS_REPLICATION_URL there: only then does the server leave checkpoints
    to Litestream.

    \b
    Examples:
      pds replicate --to s3://my-backups/pds --env-file /pds/pds.env
      pds replicate status
      pds replicate verify --sample 20
    """
    if ctx.invoked_subcommand is not None:
        refuse_options(ctx)
        return
    from pds.cli.replicate.running import run

    overriding = {"PDS_REPLICATION_URL": url, "PDS_REPLICATION_HOT_SET": hot_set}
    given = {name: str(value) for name, value in overriding.items() if value is not None}
    run(env_file, given, until_stdin_ends=until_stdin_ends)
