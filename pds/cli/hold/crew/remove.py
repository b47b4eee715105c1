"""`pds hold crew remove`."""

from __future__ import annotations

from pathlib import Path

import click

from pds.cli.confirmation import confirm, yes_option
from pds.cli.environment import env_file_option, explain_failures
from pds.cli.hold.calls import MEMBER, ask_hold, load_hold_settings
from pds.cli.output import json_option, print_json, say


@click.command()
@click.argument("member", metavar="DID|HANDLE")
@yes_option
@json_option
@env_file_option
@explain_failures
def remove(member: str, yes: bool, as_json: bool, env_file: Path | None) -> None:
    """Remove a member, who loses access at once.

    Layers that the member has pushed stay, for others may use them. Where everybody may join
    (PDS_HOLD_ALLOW_ALL_CREW), the member may come back.

    \b
    Examples:
      pds hold crew remove bob.example.com
      pds hold crew remove did:plc:ewvi7nxzyoun6zhxrhs64oiz --yes
    """
    settings = load_hold_settings(env_file)
    confirm(f"Remove {member} from the crew?", yes=yes)
    answer = ask_hold(settings, "DELETE", MEMBER, names={"member": member})
    if as_json:
        print_json({**answer, "status": "removed"})
    else:
        say(f"{member} is no longer a member of the crew.")
