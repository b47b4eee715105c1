"""`pds serve`: the production server."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
import structlog

from pds.cli.environment import env_file_option, explain_failures, load_settings
from pds.config import Settings, find_without_effect

if TYPE_CHECKING:
    from pds.context import AppContext

_log = structlog.get_logger(__name__)


@click.command()
@env_file_option
@explain_failures
def serve(env_file: Path | None) -> None:
    """Run the server with the settings of the environment.

    Takes the environment variables and the data directory of the reference PDS. Stops in good
    order on SIGTERM or Ctrl-C.

    \b
    Examples:
      pds serve
      pds serve --env-file /pds/pds.env
    """
    settings = load_settings(env_file)
    # Settings that need attention are told at once, before the server is imported.
    import uvloop

    from pds import server
    from pds.cli.server_logs import server_logs

    with server_logs(settings) as logs:
        _warn_of_settings_without_effect(settings)
        uvloop.run(server.serve(settings, on_ready=_announce, logs=logs))


def _warn_of_settings_without_effect(settings: Settings) -> None:
    variables = find_without_effect(settings)
    if variables:
        _log.warning(
            "settings without effect", variables=variables, explained_in="docs/configuration.md"
        )


def _announce(ctx: AppContext) -> None:
    settings = ctx.settings
    _log.info(
        "ready",
        url=settings.public_url,
        port=settings.service.port,
        did=settings.service_did,
        version=settings.version,
    )
