"""`pds invite`: invite codes."""

from __future__ import annotations

from typing import Final

import click

from pds.cli.lazy_group import LazyGroup

COMMANDS: Final = {
    "create": "Create invite codes and print them.",
    "list": "List all invite codes, newest first. Works while the server runs.",
    "disable": "Disable invite codes, so that no more accounts are created with them.",
}
"""Every command and the first line of its help."""


@click.group(cls=LazyGroup, package=__name__, summaries=COMMANDS)
def invite() -> None:
    """Create, list and disable invite codes.

    \b
    Examples:
      pds invite create --uses 5
      pds invite list
      pds invite disable pds-example-com-jrsgi-2bzdu
    """
