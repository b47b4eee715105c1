"""`pds admin`: the administrator's own sign-in."""

from __future__ import annotations

from typing import Final

import click

from pds.cli.lazy_group import LazyGroup

COMMANDS: Final = {
    "reset-second-factor": "Let the administrator in who has lost the authenticator app.",
}
"""Every command and the first line of its help."""


@click.group(cls=LazyGroup, package=__name__, summaries=COMMANDS)
def admin() -> None:
    """Repair the sign-in of the administrator's pages.

    \b
    Examples:
      pds admin reset-second-factor
    """
