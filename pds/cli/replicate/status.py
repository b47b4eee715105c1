"""`pds replicate status`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from pds.cli.environment import env_file_option, explain_failures, load_settings
from pds.cli.failures import CommandFailed, note
from pds.cli.output import json_option, print_faults, print_fields, print_json, print_table
from pds.replication.health import MAX_LAG_S, Fault, find_faults, has_everything, lag_s
from pds.replication.options import STATUS_FILE
from pds.replication.status import read_status
from pds.reporting import counted, format_ago

if TYPE_CHECKING:
    from pds.replication.status import DaemonStatus, DatabaseStatus, ReplicationStatus

_DATABASES: Final = ("Database", "Lag", "Compared", "Transaction", "Error")
_DAEMONS: Final = ("Litestream", "Process", "Restarts", "Last error")


@click.command()
@click.option(
    "--max-lag",
    "max_lag_s",
    type=click.FloatRange(0),
    default=MAX_LAG_S,
    show_default=True,
    help="Seconds that a change may wait before the exit status is 1.",
)
@json_option
@env_file_option
@explain_failures
def status(max_lag_s: float, as_json: bool, env_file: Path | None) -> None:
    """Show how far the replica is behind, and what keeps it there.

    The exit status is 0 if replication runs and changes arrive in time, 1 if not. Works while
    `pds serve --replicate` or `pds replicate` runs, which tell a file in the data directory once
    a second, and shows what was left when it stopped.

    \b
    Examples:
      pds replicate status
      pds replicate status --max-lag 10
      pds replicate status --json | jq .actors.dirty
    """
    settings = load_settings(env_file)
    found = read_status(settings.data_directory / STATUS_FILE)
    faults = list(find_faults(found, max_lag_s=max_lag_s))
    if found is None:
        (never,) = faults
        raise CommandFailed(f"{never.message[:1].upper()}{never.message[1:]}. {never.remedy}")
    if as_json:
        print_json(_to_json(found, faults))
    else:
        _print(found, faults)
    sys.exit(1 if faults else 0)


def _to_json(found: ReplicationStatus, faults: list[Fault]) -> dict[str, Any]:
    """What the file has, and our judgement of it."""
    return {
        **found.to_json(),
        "alive": found.is_alive,
        "lag_s": lag_s(found),
        "faults": [{"message": one.message, "remedy": one.remedy} for one in faults],
    }


def _print(found: ReplicationStatus, faults: list[Fault]) -> None:
    print_fields(_fields(found))
    # Both are empty as long as the place has never been reached.
    if found.databases:
        print_table("Databases", _DATABASES, map(_database_row, found.databases))
    if found.daemons:
        print_table("Processes", _DAEMONS, map(_daemon_row, found.daemons))
    if found.failing:
        print_table("Accounts that cannot be replicated", ("Account", "Error"), found.failing)
    for warning in found.warnings:
        note(warning)
    print_faults(f"{one.message}. {one.remedy}" for one in faults)


def _fields(found: ReplicationStatus) -> Iterator[tuple[str, object]]:
    actors, totals = found.actors, found.totals
    yield "Replica", found.replica
    yield "Server", found.service_did
    yield "State", _state(found)
    yield "Accounts", f"{actors.known:,}, of which {_are(actors.dirty)} waiting to be sent"
    yield (
        "Oldest unsent change",
        f"{actors.oldest_unsynced_s:.1f} s old" if actors.dirty else "none",
    )
    yield "Open in Litestream", f"{actors.hot:,} accounts, at most {actors.hot_set:,}"
    if actors.deleted:
        yield "Deleted accounts", f"{actors.deleted:,} still kept in the replica"
    within = f"{found.lag.p99_s:.1f} s (99 %), {found.lag.max_s:.1f} s (all)"
    yield "Changes of the last minute", f"{found.lag.changes:,}, sent within {within}"
    yield "All files looked at", format_ago(actors.last_sweep_s)
    sent = f"{counted(totals.syncs, 'database')} sent, {totals.failed_syncs:,} failed attempts"
    copied = f"{counted(totals.keys_copied, 'key')}, {counted(totals.blobs_copied, 'blob')} copied"
    yield "Since the start", f"{sent}, {copied}"
    if found.last_error is not None:
        yield "Last error", f"{found.last_error} ({format_ago(found.last_error_s)})"


def _are(count: int) -> str:
    return f"{count:,} is" if count == 1 else f"{count:,} are"


def _state(found: ReplicationStatus) -> str:
    if found.is_alive:
        return f"{found.state}, process {found.pid}, started {format_ago(found.started_s)}"
    if has_everything(found):
        return f"stopped {format_ago(found.written_s)}; everything had been sent"
    return f"does not run; {found.state} {format_ago(found.written_s)}"


def _database_row(one: DatabaseStatus) -> tuple[str | None, ...]:
    return (
        one.name,
        f"{one.lag_s:.1f} s",
        format_ago(one.last_synced_s),
        f"{one.txid:,}",
        one.last_error,
    )


def _daemon_row(one: DaemonStatus) -> tuple[str | None, ...]:
    return one.name, str(one.pid or "none"), f"{one.restarts:,}", one.last_error
