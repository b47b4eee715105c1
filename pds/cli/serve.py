"""`pds serve`: the production server."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import structlog

from pds.cli.environment import env_file_option, explain_failures, read_variables
from pds.cli.settings_warnings import warn_of_settings
from pds.config import Settings
from pds.config.hold.secrets_file import HOLD_ENV, keep_hold_env

if TYPE_CHECKING:
    from pds.context import AppContext

_PATIENCE_S: Final = 1.0
"""How long blobs are counted: there is a file for each, and there may be millions."""

_log = structlog.get_logger(__name__)


@click.command()
@click.option(
    "--replicate",
    "replica_url",
    metavar="URL",
    help="Replicate everything there, as `pds replicate --to URL` does; PDS_REPLICATION_URL.",
)
@click.option(
    "--take-over",
    is_flag=True,
    help="If a server runs on the data directory, take its place without refusing a connection.",
)
@env_file_option
@explain_failures
def serve(replica_url: str | None, take_over: bool, env_file: Path | None) -> None:
    """Run the server with the settings of the environment.

    Uses the environment variables and the data directory of the reference PDS. SIGTERM or Ctrl-C
    shuts it down cleanly. SIGHUP reopens the log file, and replaces workers one by one.

    \b
    Examples:
      pds serve
      pds serve --env-file /pds/pds.env
      pds serve --replicate s3://my-backups/pds
      pds serve --take-over
    """
    variables = read_variables(env_file)
    if replica_url is not None:
        variables = variables.with_settings(
            {"PDS_REPLICATION_URL": replica_url, "PDS_REPLICATION_WITH_SERVER": "true"}
        )
        from pds.replication.replica.url import ReplicaUrl

        # The settings would blame a variable that nobody has set.
        ReplicaUrl.parse(replica_url, environ=variables.values)
    settings = variables.settings()
    # Bad settings are reported at once, before the server is imported.
    import uvloop

    from pds.cli.server_logs import server_logs
    from pds.server import run as server
    from pds.server.replicator import replicator_of
    from pds.server.workers.fork_server import ForkServer

    blobs: int | str = 0
    replicator = replicator_of(settings, variables.values)

    async def prepare(stack: AsyncExitStack) -> None:
        nonlocal blobs
        if replicator is not None:
            # It ends after the server has closed its files.
            stack.push_async_callback(replicator.stop)
        if variables.made:
            keep_hold_env(settings.data_directory, variables.made)
            _log.info("secrets were made", file=str(settings.data_directory / HOLD_ENV))
        blobs = await asyncio.to_thread(_count_blobs, settings)

    def begin(ctx: AppContext) -> None:
        _announce(ctx, blobs)
        if replicator is not None:
            replicator.start()

    with server_logs(settings) as logs:
        warn_of_settings(settings, variables.values)
        if replicator is not None:
            logs.after_reopening.append(replicator.hang_up)
        uvloop.run(
            server.serve(
                settings,
                start_beside=prepare,
                on_ready=begin,
                logs=logs,
                environ=variables.values,
                fork_server=ForkServer.forked() if settings.workers > 1 else None,
                take_over=take_over,
            )
        )


def _count_blobs(settings: Settings) -> int | str:
    """Count the blobs, as far as that does not delay the start."""
    from pds.disk.sizes import count_files

    if settings.blob_directory is None:
        return f"in the bucket {settings.blobstore.s3_bucket}"
    until = time.monotonic() + _PATIENCE_S
    try:
        count, is_all = count_files(
            settings.blob_directory,
            lambda: time.monotonic() > until,
            without=settings.blob_tmp_directory,
        )
    except OSError as exc:
        return str(exc)
    return count if is_all else f"more than {count}"


def _announce(ctx: AppContext, blobs: int | str) -> None:
    settings = ctx.settings
    _log.info(
        "ready",
        url=settings.public_url,
        port=settings.service.port,
        did=settings.service_did,
        version=settings.version,
        data_directory=str(settings.data_directory.absolute()),
        accounts=ctx.accounts.store.count(),
        blobs=blobs,
    )
