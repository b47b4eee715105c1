"""`pds sequencer raise`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pds.cli.environment import env_file_option, explain_failures, load_settings
from pds.cli.failures import CommandFailed
from pds.cli.operator import operate
from pds.cli.output import json_option, print_json
from pds.config import Settings


@click.command("raise")
@click.argument("seq", metavar="N", type=click.IntRange(min=1))
@json_option
@env_file_option
@explain_failures
def raise_(seq: int, as_json: bool, env_file: Path | None) -> None:
    """Continue the event log above a number, for relays whose cursors are ahead of it.

    The next event gets N + 1. This helps if `sequencer.sqlite` was restored from an older copy: a
    relay that has seen later events is refused with FutureCursor until the log has passed its
    cursor, and the server's log names that number. Connected relays do not notice. Works while the
    server runs and while it does not. It cannot be undone.

    \b
    Examples:
      pds sequencer raise 120000
      pds sequencer raise 120000 --env-file /pds/pds.env --json
    """
    done = _raise(load_settings(env_file), seq)
    if as_json:
        print_json(done)
    elif done["seq"] > done["before"]:
        click.echo(f"The event log continues after {done['seq']}; it was at {done['before']}.")
    else:
        click.echo(f"The event log is at {done['seq']} already: nothing had to be raised.")


def _raise(settings: Settings, seq: int) -> dict[str, Any]:
    from sequencer.run_state import MAX_RAISED_SEQ
    from sequencer.sequencer import SeqTooHigh

    if seq > MAX_RAISED_SEQ:
        raise CommandFailed(str(SeqTooHigh()))

    return operate(
        settings, lambda server: server.ask("PUT", "/_holdfast/sequencer", body={"seq": seq})
    )
