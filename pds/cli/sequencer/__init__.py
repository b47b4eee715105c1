"""`pds sequencer`: the numbers of events."""

from __future__ import annotations

from typing import Final

import click

from pds.cli.lazy_group import LazyGroup

COMMANDS: Final = {
    "raise": "Let the event log go on behind a number, for relays that are beyond it.",
}
"""Every command and the first line of its help."""


@click.group(cls=LazyGroup, package=__name__, summaries=COMMANDS)
def sequencer() -> None:
    """Raise the numbers of events.

    Every event of the firehose has a number, its seq, by which relays know where they are.

    \b
    Examples:
      pds sequencer raise 120000 --env-file /pds/pds.env
    """
