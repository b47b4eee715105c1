"""`pds record`: single records of this server's accounts."""

from __future__ import annotations

from typing import Final

import click

from pds.cli.lazy_group import LazyGroup

COMMANDS: Final = {
    "takedown": "Take a record down: hide it from everyone.",
    "untakedown": "Reverse the takedown of a record.",
}
"""Every command and the first line of its help."""


@click.group(cls=LazyGroup, package=__name__, summaries=COMMANDS)
def record() -> None:
    """Take records down, and put them back.

    A record is named by its AT URI, with the DID or the handle of an account of this server.

    \b
    Examples:
      pds record takedown at://alice.example.com/app.bsky.feed.post/3jzfcijpj2z2a --ref "report 17"
      pds record untakedown at://alice.example.com/app.bsky.feed.post/3jzfcijpj2z2a
    """
