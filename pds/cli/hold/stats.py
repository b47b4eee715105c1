"""`pds hold stats`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from pds.cli.environment import env_file_option, explain_failures
from pds.cli.hold.calls import STATS, list_all, load_hold_settings
from pds.cli.output import json_lines_option, print_json, print_table
from pds.reporting import counted

_COLUMNS: Final = ("Repository", "Owner", "Pulls", "Pushes", "Last pull", "Last push")


@click.command()
@click.argument("owner", metavar="[DID|HANDLE]", required=False)
@click.argument("repository", metavar="[REPOSITORY]", required=False)
@click.option(
    "--limit",
    type=click.IntRange(1),
    default=1000,
    show_default=True,
    help="Look at no more repositories than this.",
)
@json_lines_option
@env_file_option
@explain_failures
def stats(
    owner: str | None, repository: str | None, limit: int, as_json: bool, env_file: Path | None
) -> None:
    """Show the pulls and pushes of images.

    Shows all repositories, those of one owner, or a single one. The numbers include what is in no
    record yet: counts are committed every PDS_HOLD_STATS_INTERVAL, and pds hold status shows how
    many wait.

    \b
    Examples:
      pds hold stats
      pds hold stats alice.example.com
      pds hold stats alice.example.com my-image --json
    """
    query = {"owner": owner} if owner else {}
    listed = list_all(load_hold_settings(env_file), STATS, "stats", most=limit, query=query)
    found = [one for one in listed if repository in (None, one["repository"])]
    if as_json:
        for one in found:
            print_json(one)
        return
    print_table(_title(found), _COLUMNS, map(_row, found))


def _title(found: list[dict[str, Any]]) -> str:
    pulls, pushes = (sum(one[name] for one in found) for name in ("pullCount", "pushCount"))
    counts = (
        counted(len(found), "repository", "repositories"),
        counted(pulls, "pull"),
        counted(pushes, "push", "pushes"),
    )
    return ", ".join(counts)


def _row(one: dict[str, Any]) -> tuple[str | None, ...]:
    return (
        one["repository"],
        one["did"],
        f"{one['pullCount']:,}",
        f"{one['pushCount']:,}",
        _minute(one.get("lastPull")),
        _minute(one.get("lastPush")),
    )


def _minute(at: str | None) -> str | None:
    return None if at is None else f"{at[:10]} {at[11:16]}"
