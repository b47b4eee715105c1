"""`pds hold crew list`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from pds.cli.environment import env_file_option, explain_failures
from pds.cli.hold.calls import CREW, list_all, load_hold_settings
from pds.cli.hold.crew.permissions import PERMISSIONS, short_names
from pds.cli.output import json_lines_option, print_json, print_table
from pds.reporting import counted

_COLUMNS: Final = ("Handle", "DID", "Role", "Permissions", "Tier", "Added")


@click.command("list")
@click.option(
    "--permission",
    type=click.Choice(tuple(PERMISSIONS)),
    help="Only members whose record has this permission.",
)
@click.option("--tier", help="Only members of this tier.")
@click.option("--role", help="Only members with this role.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    help="Look at no more members than this.",
)
@json_lines_option
@env_file_option
@explain_failures
def list_members(
    permission: str | None,
    tier: str | None,
    role: str | None,
    limit: int,
    as_json: bool,
    env_file: Path | None,
) -> None:
    """List the members of the crew.

    The options filter by what a member's record says. Its permissions decide what the member may
    do: write includes read, and admin includes both, whether the record names them or not. The role
    gives no access, and the captain may do everything.

    \b
    Examples:
      pds hold crew list
      pds hold crew list --permission admin
      pds hold crew list --tier bosun --json | jq -r .did
    """
    found = list_all(load_hold_settings(env_file), CREW, "crew", most=limit)
    wanted = None if permission is None else PERMISSIONS[permission]
    members = [
        each
        for each in found
        if (wanted is None or wanted in each["permissions"])
        and tier in (None, each["tier"])
        and role in (None, each["role"])
    ]
    if as_json:
        for member in members:
            print_json(member)
        return
    print_table(counted(len(members), "member"), _COLUMNS, _rows(members))


def _rows(members: list[dict[str, Any]]) -> Iterator[tuple[str | None, ...]]:
    for member in members:
        yield (
            member["handle"],
            member["did"],
            member["role"],
            short_names(member["permissions"]),
            member["tier"],
            member["addedAt"][:10],
        )
