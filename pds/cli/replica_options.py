"""Options of commands that read a replica."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import click

from pds.cli.failures import CommandFailed

from_option = click.option(
    "--from",
    "url",
    metavar="URL",
    help="The replica, as `pds replicate --to` names it; PDS_REPLICATION_URL if not given.",
)
identity_option = click.option(
    "--identity",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The file of an age identity that opens the signing keys.",
)


def require_url(url: str | None, variables: Mapping[str, str], *, to: str, remedy: str) -> str:
    """Return the URL of the option, or that of the settings. Raises `CommandFailed` without any.

    `to` is what the replica is needed for, such as "restore from".
    """
    found = url or variables.get("PDS_REPLICATION_URL")
    if not found:
        raise CommandFailed(
            f"There is no replica to {to}: PDS_REPLICATION_URL is not set.", remedy=remedy
        )
    return found
