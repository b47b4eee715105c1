"""`pds hold status`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click

from pds.cli.environment import env_file_option, explain_failures
from pds.cli.hold.calls import HOLD, ask_hold, load_hold_settings
from pds.cli.output import json_option, print_fields, print_json
from pds.reporting import counted, format_size

_CREW: Final = "io.atcr.hold.crew"
_LAYERS: Final = "io.atcr.hold.layer"


@click.command()
@click.option("--offline", is_flag=True, help="Do not ask the public URL for the DID document.")
@json_option
@env_file_option
@explain_failures
def status(offline: bool, as_json: bool, env_file: Path | None) -> None:
    """Show what the hold is, what it has, and whether others reach it.

    It asks the public URL of the hold for the DID document, as registries and relays do, and
    compares that with the key here.

    \b
    Examples:
      pds hold status
      pds hold status --json | jq -e '.reachable'
    """
    settings = load_hold_settings(env_file)
    answer = ask_hold(settings, "GET", HOLD)
    answer |= {"reachable": None, "fault": None}
    if not offline:
        from pds.cli.hold.reach import find_fault

        fault = find_fault(answer["url"], did=answer["did"], signing_key=answer["signingKey"])
        answer |= {"reachable": fault is None, "fault": fault}
    if as_json:
        print_json(answer)
    else:
        print_fields(_fields(answer))


def _fields(answer: dict[str, Any]) -> Iterator[tuple[str, object]]:
    records, pending = answer["records"], answer["pending"]
    yield "DID", answer["did"]
    yield "Handle", answer["handle"] or "none"
    yield "URL", f"{answer['url']} ({_reached(answer)})"
    yield "Captain", _captain(answer["captain"])
    yield "Pulls", "by everybody" if answer["public"] else "by the crew only"
    yield "Joining", "everybody may" if answer["allowAllCrew"] else "whom the captain adds"
    yield "Crew", counted(records.get(_CREW, 0), "member")
    yield "Stored", f"{counted(answer['blobs'], 'blob')}, {format_size(answer['bytes'])}"
    yield "Layers", counted(records.get(_LAYERS, 0), "record")
    yield "Uploads", f"{answer['uploads']:,} in flight"
    yield "Uncommitted", f"{pending['pulls']:,} pulls, {pending['pushes']:,} pushes"
    yield "Relays", ", ".join([*answer["relays"], *answer["discovery"]]) or "none"


def _reached(answer: dict[str, Any]) -> str:
    if answer["reachable"] is None:
        return "not asked"
    return "reachable" if answer["reachable"] else answer["fault"]


def _captain(captain: dict[str, Any]) -> str:
    if not captain["did"]:
        return "nobody: the captain record is missing"
    return f"{captain['handle']} ({captain['did']})" if captain["handle"] else captain["did"]
