"""`pds firehose subscribers`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pds.cli.environment import env_file_option, explain_failures, load_settings
from pds.cli.operator import on_server
from pds.cli.output import counted, json_lines_option, print_json, print_table

if TYPE_CHECKING:
    from pds.cli.running_server import RunningServer


@click.command()
@json_lines_option
@env_file_option
@explain_failures
def subscribers(as_json: bool, env_file: Path | None) -> None:
    """Show who is subscribed, and how far behind each is.

    Asks the running server. Seq is the last event that a subscriber was given, Lag how many it
    has not been given, Since when it connected.

    \b
    Examples:
      pds firehose subscribers
      pds firehose subscribers --json | jq 'select(.lagEvents > 1000)'
    """
    answer = asyncio.run(on_server(load_settings(env_file), _ask))
    found: list[dict[str, Any]] = answer["subscribers"]
    if as_json:
        for one in found:
            print_json(one)
        return
    rows = [
        (
            one["address"],
            one["userAgent"],
            str(one["seq"]),
            str(one["lagEvents"]),
            f"{one['connectedAt'][:10]} {one['connectedAt'][11:16]}",
        )
        for one in found
    ]
    title = f"{counted(len(found), 'subscriber')}, newest event {answer['newestSeq']}"
    print_table(title, ("Address", "User agent", "Seq", "Lag", "Since (UTC)"), rows)


async def _ask(server: RunningServer) -> dict[str, Any]:
    return await server.get("/_holdfast/firehose/subscribers")
