"""`pds hold gc`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pds.cli.confirmation import confirm, yes_option
from pds.cli.environment import env_file_option, explain_failures
from pds.cli.failures import INTERRUPTED, CommandFailed
from pds.cli.hold.calls import GC, load_hold_settings
from pds.cli.operator import Server, operate
from pds.cli.output import json_option, print_fields, print_json
from pds.cli.progress import progress_bars
from pds.reporting import counted, format_size

if TYPE_CHECKING:
    from pds.reporting import Progress


@click.command()
@click.option("--delete", is_flag=True, help="Delete what is found; without it, only look.")
@click.option(
    "--check-manifests",
    is_flag=True,
    help="First look every manifest up in its user's repository, and forget those that are gone.",
)
@click.option(
    "--unknown-origin",
    is_flag=True,
    help="Include what this hold has not received itself, such as a bucket that it took over.",
)
@yes_option
@json_option
@env_file_option
@explain_failures
def gc(
    delete: bool,
    check_manifests: bool,
    unknown_origin: bool,
    yes: bool,
    as_json: bool,
    env_file: Path | None,
) -> None:
    """Delete layers that no manifest refers to any more.

    Without --delete, it only reports what would be deleted. What was sent or asked for recently is
    kept (PDS_HOLD_GC_GRACE), since a push may be under way. It works while the server runs, and
    stops when the command is stopped; repeat it to go on.

    \b
    Examples:
      pds hold gc
      pds hold gc --check-manifests
      pds hold gc --check-manifests --delete --yes
    """
    settings = load_hold_settings(env_file)
    if delete:
        confirm("Delete layers that no manifest refers to? This cannot be undone.", yes=yes)
    options = {
        "delete": delete,
        "checkManifests": check_manifests,
        "unknownOrigin": unknown_origin,
    }
    with progress_bars() as progress:
        try:
            found = operate(settings, lambda server: _collect(server, options, progress))
        except KeyboardInterrupt:
            raise CommandFailed(
                "Interrupted. What has been deleted stays deleted; the rest is as it was.",
                status=INTERRUPTED,
            ) from None
    if as_json:
        print_json({"delete": delete, **found})
    else:
        print_fields(_fields(found, delete=delete))
    if found["unresolved"] and delete:
        raise CommandFailed(
            f"Nothing is deleted: the configs of {counted(found['unresolved'], 'manifest')} are "
            "unknown, since their users' servers did not answer. Repeat the command later."
        )


async def _collect(server: Server, options: dict[str, Any], progress: Progress) -> dict[str, Any]:
    counts: Counter[str] = Counter()
    cursor = None
    while True:
        page = await server.ask("POST", GC, body={**options, "cursor": cursor})
        counts.update(page["counts"])
        progress("manifests", counts["manifests"], 0)
        progress("blobs", counts["blobs"], 0)
        cursor = page.get("cursor")
        if cursor is None:
            return {**counts, "unresolved": page["unresolved"]}


def _fields(found: dict[str, Any], *, delete: bool) -> Iterator[tuple[str, object]]:
    yield "Stored", _sized(found, "blobs", "bytes")
    yield "Garbage", _sized(found, "garbage", "garbageBytes")
    if delete:
        yield "Deleted", _sized(found, "deleted", "deletedBytes")
        yield "Records deleted", f"{found['layerRecordsDeleted']:,}"
    yield "Kept as recent", f"{found['keptRecent']:,}"
    yield "Kept as unknown", f"{found['keptUnknown']:,}"
    yield "Manifests", f"{found['manifests']:,} looked at, {found['manifestsGone']:,} gone"
    if found["unresolved"]:
        yield "Unresolved", f"{counted(found['unresolved'], 'manifest')} with unknown configs"
    if not delete and found["garbage"]:
        yield "Next", "pds hold gc --delete"


def _sized(found: dict[str, Any], count: str, size: str) -> str:
    return f"{counted(found[count], 'blob')}, {format_size(found[size])}"
