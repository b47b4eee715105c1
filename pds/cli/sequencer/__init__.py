"""`pds sequencer`: the sequence numbers of events."""

from __future__ import annotations

from typing import Final

import click

from pds.cli.lazy_group import LazyGroup

COMMANDS: Final = {
    "raise": "Continue the event log above a number, for relays whose cursors are ahead of it.",
}
"""Every command and the first line of its help."""


@click.group(cls=LazyGroup, package=__name__, summaries=COMMANDS)
def sequencer() -> None:
    """Raise the sequence numbers of events.

    Every event of the firehose has a number, its seq, which relays use as their cursor.

    \b
    Examples:
      pds sequencer raise 120000 --env-file /pds/pds.env
    """
