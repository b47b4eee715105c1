"""`pds hold crew add`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from pds.cli.environment import env_file_option, explain_failures
from pds.cli.hold.calls import MEMBER, ask_hold, load_hold_settings
from pds.cli.hold.crew.permissions import parse_permissions, short_names
from pds.cli.output import json_option, print_json, say

_DONE: Final = {
    "created": "{name} is a member of the crew now",
    "updated": "{name} is changed",
    "unchanged": "{name} is a member of the crew already",
}


@click.command()
@click.argument("member", metavar="DID|HANDLE")
@click.option(
    "--permissions",
    metavar="LIST",
    help="Any of read, write and admin, separated by commas; read,write for a new member. write "
    "includes read; admin may also change the crew, and includes both.",
)
@click.option("--role", help="A description, such as member or admin; it gives no access.")
@click.option("--tier", help='One of PDS_HOLD_TIERS, which sets the quota; "" for the default.')
@json_option
@env_file_option
@explain_failures
def add(
    member: str,
    permissions: str | None,
    role: str | None,
    tier: str | None,
    as_json: bool,
    env_file: Path | None,
) -> None:
    """Add a member, or change what a member may do.

    If they are already in the crew, only what you give changes.

    \b
    Examples:
      pds hold crew add bob.example.com
      pds hold crew add bob.example.com --permissions read --role reader
      pds hold crew add did:plc:ewvi7nxzyoun6zhxrhs64oiz --tier bosun
    """
    body: dict[str, Any] = {}
    if permissions is not None:
        body["permissions"] = parse_permissions(permissions)
    if role is not None:
        body["role"] = role
    if tier is not None:
        body["tier"] = tier
    settings = load_hold_settings(env_file)
    answer = ask_hold(settings, "PUT", MEMBER, names={"member": member}, body=body)
    if as_json:
        print_json(answer)
        return
    name = answer["handle"] or answer["did"]
    say(f"{_DONE[answer['change']].format(name=name)}: {_described(answer)}.")


def _described(answer: dict[str, Any]) -> str:
    text = f"permissions {short_names(answer['permissions'])}, role {answer['role']}"
    return f"{text}, tier {answer['tier']}" if answer["tier"] else text
