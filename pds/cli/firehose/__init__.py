"""`pds firehose`: the event stream, as the operator sees it."""

from __future__ import annotations

from typing import Final

import click

from pds.cli.lazy_group import LazyGroup

COMMANDS: Final = {
    "subscribers": "Show who is subscribed, and how far behind each is.",
}
"""Every command and the first line of its help."""


@click.group(cls=LazyGroup, package=__name__, summaries=COMMANDS)
def firehose() -> None:
    """Show who is subscribed to this server's events.

    \b
    Examples:
      pds firehose subscribers
    """
