"""`pds firehose subscribers`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pds.cli.environment import env_file_option, explain_failures, load_settings
from pds.cli.operator import operate_running
from pds.cli.output import json_lines_option, print_json, print_table
from pds.reporting import counted


@click.command()
@json_lines_option
@env_file_option
@explain_failures
def subscribers(as_json: bool, env_file: Path | None) -> None:
    """Show who is subscribed, and how far behind each is.

    Asks the running server. Seq is the last event that a subscriber was sent, Lag how many it has
    yet to be sent, Since when it connected.

    \b
    Examples:
      pds firehose subscribers
      pds firehose subscribers --json | jq 'select(.lagEvents > 1000)'
    """
    answer = operate_running(
        load_settings(env_file), lambda server: server.ask("GET", "/_holdfast/firehose/subscribers")
    )
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
