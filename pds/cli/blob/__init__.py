"""`pds blob`: single blobs of this server's accounts."""

from __future__ import annotations

from typing import Final

import click

from pds.cli.lazy_group import LazyGroup

COMMANDS: Final = {
    "takedown": "Take a blob down: hide it from everyone.",
    "untakedown": "Reverse the takedown of a blob.",
}
"""Every command and the first line of its help."""


@click.group(cls=LazyGroup, package=__name__, summaries=COMMANDS)
def blob() -> None:
    """Take blobs down, and put them back.

    A blob is named by its account and its CID. Records that show the blob contain the CID as
    {"$link": CID}, and image URLs contain it, too. `pds blobs` is about all of them.

    \b
    Examples:
      pds blob takedown alice.test bafkreibme22gw2h7y2h7tg2fhqotaqjucnbc24deqo72b6mkl2egezxhvy
    """
