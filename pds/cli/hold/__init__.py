"""`pds hold`: the hold of the ATCR container registry."""

from __future__ import annotations

from typing import Final

import click

from pds.cli.lazy_group import LazyGroup

COMMANDS: Final = {
    "init": "Write the settings of a new hold, and tell what is left to do.",
    "status": "Show what the hold is, what it has, and whether others reach it.",
    "crew": "List, add, change and remove members of the crew.",
    "stats": "Show the pulls and pushes of images.",
    "gc": "Delete layers that no manifest refers to any more.",
}
"""Every command and the first line of its help."""


@click.group(cls=LazyGroup, package=__name__, summaries=COMMANDS)
def hold() -> None:
    """Run a hold: storage for images of the ATCR container registry.

    \b
    Examples:
      pds hold init --owner alice.example.com --public-url https://hold.example.com
      pds hold status
      pds hold crew add bob.example.com --permissions read,write
      pds hold stats alice.example.com my-image
      pds hold gc
    """
