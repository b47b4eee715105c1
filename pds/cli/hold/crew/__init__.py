"""`pds hold crew`: the members of a hold's crew."""

from __future__ import annotations

from typing import Final

import click

from pds.cli.lazy_group import LazyGroup

COMMANDS: Final = {
    "list": "List the members of the crew.",
    "add": "Add a member, or change what a member may do.",
    "remove": "Remove a member, who loses access at once.",
}
"""Every command and the first line of its help."""


@click.group(cls=LazyGroup, package=__name__, summaries=COMMANDS)
def crew() -> None:
    """List, add, change and remove members of the crew.

    \b
    Examples:
      pds hold crew list
      pds hold crew add bob.example.com --permissions read,write --tier bosun
      pds hold crew remove bob.example.com
    """
