"""`pds account second-factor`: what an account shows besides its password."""

from __future__ import annotations

from typing import Final

import click

from pds.cli.lazy_group import LazyGroup

COMMANDS: Final = {
    "reset": "Remove all second factors of somebody who has lost them.",
}
"""Every command and the first line of its help."""


@click.group("second-factor", cls=LazyGroup, package=__name__, summaries=COMMANDS)
def second_factor() -> None:
    """Help people who have lost their second factor.

    \b
    Examples:
      pds account second-factor reset alice.example.com
    """
