"""`pds blobs status`."""

from __future__ import annotations

from pathlib import Path

import click

from pds.cli.blobs.counting import TO, Contents, count_blobs, total
from pds.cli.environment import env_file_option, explain_failures, load_settings
from pds.cli.operator import Server, operate
from pds.cli.output import json_option, print_json, print_table, say
from pds.cli.progress import progress_bars
from pds.reporting import format_size


@click.command()
@json_option
@env_file_option
@explain_failures
def status(as_json: bool, env_file: Path | None) -> None:
    """Show how many blobs are on the disk and in S3.

    A server keeps its blobs in one of them, except while they move: see `pds blobs migrate`. Works
    whether the server runs or not. Counting takes a second for some ten thousand blobs.

    \b
    Examples:
      pds blobs status
      pds blobs status --json --env-file /pds/pds.env
    """
    settings = load_settings(env_file)
    with progress_bars() as progress:

        async def count(server: Server) -> dict[str, dict[str, Contents]]:
            return {home: await count_blobs(server, home, progress) for home in homes}

        homes = settings.blob_homes
        found = operate(settings, count)
    moves_to = settings.blobstore.move_to
    if as_json:
        stores = {
            home: {place: one.to_json() for place, one in contents.items()}
            for home, contents in found.items()
        }
        print_json({"moveTo": moves_to, "stores": stores})
        return
    rows = [
        (home, place, str(one.count), format_size(one.size_bytes))
        for home, contents in found.items()
        for place, one in contents.items()
    ]
    print_table("Blobs", ("Store", "Place", "Number", "Size"), rows)
    if moves_to is not None:
        left = total(found[homes[1]])
        say(
            f"To be moved {TO[moves_to]}: {left}."
            if left.count
            else f"All blobs have moved {TO[moves_to]}."
        )
