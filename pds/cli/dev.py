"""`pds dev`: a server with its own PLC directory, for trying things out on one machine."""

from __future__ import annotations

import os
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import uvloop
from rich.console import Console

from pds.cli.environment import explain_failures
from pds.cli.server_logs import server_logs
from pds.cli.settings_warnings import warn_of_settings
from pds.config import Settings, read_settings
from pds.dev.environment import ENV_FILE, dev_environment, keep_dev_environment
from pds.dev.mails import PATH as MAILS_PATH
from pds.dev.mails import show_mails
from pds.dev.plc_directory import plc_application
from pds.dev.plc_store import PlcStore
from pds.server.replicator import replicator_of
from pds.server.run import bind, serve
from pds.server.workers.fork_server import ForkServer

if TYPE_CHECKING:
    from pds.context import AppContext

_console = Console(highlight=False, emoji=False)
_PORT: Final = click.IntRange(1, 65535)


@click.command()
@click.option("--port", default=2583, type=_PORT, show_default=True, help="Port of the server.")
@click.option(
    "--plc-port", default=2582, type=_PORT, show_default=True, help="Port of the PLC directory."
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("data"),
    show_default=True,
    help="Directory for everything: databases, blobs, generated secrets.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@explain_failures
def dev(port: int, plc_port: int, data: Path, host: str) -> None:
    """Run a complete network on this machine, without internet or configuration.

    The server hands out handles under .test and needs no invite codes. PDS_* variables
    override its settings. Ctrl-C shuts it down cleanly.

    \b
    Examples:
      pds dev
      pds dev --port 3583 --plc-port 3582 --data /tmp/second
    """
    env_file = data / ENV_FILE
    environ = dev_environment(data, host=host, port=port, plc_port=plc_port, environ=os.environ)
    settings = read_settings(environ)

    replicator = replicator_of(settings, {**os.environ, **environ})

    async def start_directory(stack: AsyncExitStack) -> None:
        directory_port = bind(stack, host, plc_port)
        keep_dev_environment(data, environ)
        store = PlcStore(settings.data_directory / "plc.sqlite")
        stack.callback(store.close)
        await directory_port.listen(stack, plc_application(store))
        if replicator is not None:
            stack.push_async_callback(replicator.stop)

    def begin(ctx: AppContext) -> None:
        _welcome(settings, env_file)
        if replicator is not None:
            replicator.start()

    with server_logs(settings) as logs:
        warn_of_settings(settings, environ)
        uvloop.run(
            serve(
                settings,
                start_beside=start_directory,
                more_routes=show_mails,
                on_ready=begin,
                logs=logs,
                environ={**os.environ, **environ},
                fork_server=ForkServer.forked() if settings.workers > 1 else None,
            )
        )


def _welcome(settings: Settings, env_file: Path) -> None:
    url = settings.public_url
    _console.print(f"[bold green]Holdfast is ready on {url}[/]   (Ctrl-C stops it)")
    _console.print(f"PLC directory   {settings.identity.plc_url}")
    _console.print(f"Mails           {url}{MAILS_PATH}")
    _console.print(f"Data, secrets   {settings.data_directory}, {env_file}")
    if settings.metrics.port is not None:
        host, port = settings.metrics.host, settings.metrics.port
        _console.print(f"Metrics         http://{host}:{port}/metrics")
    _console.print(
        f"""
Make the first post:

  curl -s {url}/xrpc/com.atproto.server.createAccount -H 'Content-Type: application/json' \\
    -d '{{"handle":"alice.test","email":"alice@example.com","password":"correct-horse"}}' \\
    > session.json
  TOKEN=$(python3 -c 'import json; print(json.load(open("session.json"))["accessJwt"])')
  curl -s {url}/xrpc/com.atproto.repo.createRecord -H "Authorization: Bearer $TOKEN" \\
    -H 'Content-Type: application/json' -d '{{"repo":"alice.test",
      "collection":"app.bsky.feed.post","record":{{"$type":"app.bsky.feed.post",
      "text":"Hello from Holdfast","createdAt":"2026-01-01T00:00:00Z"}}}}'
""",
        markup=False,
        soft_wrap=True,
    )
