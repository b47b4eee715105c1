"""`pds car`: repositories in CAR files."""

from __future__ import annotations

from typing import Final

import click

from pds.cli.lazy_group import LazyGroup

COMMANDS: Final = {
    "diff": "Compare two CARs: which records were created, updated, deleted.",
    "export": "Copy a repository from its server, or bring a copy up to date.",
    "get": "Print one record.",
    "import": "Create a deactivated account of this server from a CAR.",
    "inspect": "Show what a CAR contains.",
    "ls": "List records, or the blobs they refer to.",
    "pack": "Make a CAR from a directory made by `unpack`.",
    "unpack": "Write every record to a file of its own.",
    "verify": "Check everything in CARs.",
}
"""Every command and the first line of its help."""


@click.group(cls=LazyGroup, summaries=COMMANDS, package=__name__)
def car() -> None:
    """Inspect, check, edit, compare, export and import repositories in CAR files.

    Only `import` needs a server's settings. FILE may be - for standard input or output. Only
    data goes to standard output.

    \b
    Examples:
      pds car export alice.example.com alice.car --blobs blobs
      pds car inspect alice.car
      pds car verify alice.car --plc https://plc.directory
      pds car ls alice.car app.bsky.feed.post
      pds car unpack alice.car alice
      pds car import alice.car --email alice@example.com --blobs blobs
    """
