"""`pds standby status`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from pds.cli.environment import explain_failures
from pds.cli.failures import CommandFailed
from pds.cli.output import json_option, print_faults, print_fields, print_json, print_table
from pds.reporting import counted, format_ago, format_size

if TYPE_CHECKING:
    from pds.replication.standby.status import StandbyStatus

_MAX_LAG_S: Final = 30.0


@click.command()
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--max-lag",
    "max_lag_s",
    type=click.FloatRange(0),
    default=_MAX_LAG_S,
    show_default=True,
    help="Seconds that the standby may be behind before the exit status is 1.",
)
@json_option
@explain_failures
def status(directory: Path, max_lag_s: float, as_json: bool) -> None:
    """Show how far a standby is behind, and what keeps it there.

    The exit status is 0 if it runs and has what the replica has, 1 if not.

    \b
    Examples:
      pds standby status /pds
      pds standby status /pds --max-lag 10 --json
    """
    from pds.replication.standby.directory import STATUS_FILE, require_standby
    from pds.replication.standby.status import read_status

    require_standby(directory)
    found = read_status(directory / STATUS_FILE)
    if found is None:
        raise CommandFailed(
            f"The standby {directory} has never run.",
            remedy=f"pds standby --from URL --to {directory}",
        )
    faults = list(_faults(found, max_lag_s))
    if as_json:
        known = {"alive": found.is_alive, "lag_s": found.lag_s, "faults": faults}
        print_json(found.to_json() | known)
    else:
        print_fields(_fields(found))
        if found.problems:
            print_table("Not as new as the replica", ("What", "Why"), found.problems)
        print_faults(faults)
    sys.exit(1 if faults else 0)


def _faults(found: StandbyStatus, max_lag_s: float) -> Iterator[str]:
    if not found.is_alive:
        yield f"it does not run ({found.last_error or found.state}); start `pds standby` again"
    elif found.lag_s is None:
        yield f"it does not have everything yet ({found.last_error or found.state})"
    elif found.lag_s > max_lag_s:
        yield f"it is {found.lag_s:.0f} s behind ({found.last_error or found.state})"
    if found.problems:
        yield f"{counted(len(found.problems), 'file')} or more cannot be brought up to date"


def _fields(found: StandbyStatus) -> Iterator[tuple[str, object]]:
    yield "Replica", found.source
    yield "Server", found.service_did
    yield "State", f"{found.state}, process {found.pid}" if found.is_alive else "does not run"
    yield "Had everything", _since_start(found.caught_up_s)
    yield "Newest change", _since_start(found.newest_s)
    yield "Databases", f"{found.databases:,}, of which {found.behind:,} known to be behind"
    yield "Not yet sent by the primary", f"{counted(found.unsent, 'account')}"
    yield "Blobs", "being copied" if found.blobs_behind else "all copied"
    copied = f"{counted(found.keys_copied, 'key')}, {counted(found.blobs_copied, 'blob')} copied"
    applied = f"{found.applied:,} updates of accounts, {found.deleted:,} deletions"
    yield "Since the start", f"{applied}; {copied}; {format_size(found.read_bytes)} read"
    if found.last_error is not None:
        yield "Last error", f"{found.last_error} ({format_ago(found.last_error_s)})"


def _since_start(at_s: float | None) -> str:
    return "not since its start" if at_s is None else format_ago(at_s)
