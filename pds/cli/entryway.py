"""Refusals behind an entryway, which owns the logins of this server."""

from __future__ import annotations

from pds.cli.failures import CommandFailed
from pds.config import Settings


def refuse_behind_entryway(settings: Settings, what: str) -> None:
    """Raise `CommandFailed` if `what`, a plural, belongs to the entryway."""
    entryway = settings.entryway_service
    if entryway is not None:
        raise CommandFailed(
            f"This server stands behind the entryway {entryway.url}, which has the {what} of its "
            "accounts. Create and change them there."
        )


def refuse_on_files(settings: Settings, what: str) -> None:
    """Like `refuse_behind_entryway`, for what a running server forwards to the entryway."""
    entryway = settings.entryway_service
    if entryway is not None:
        raise CommandFailed(
            f"The entryway {entryway.url} has the {what} of this server's accounts, and only a "
            "running server asks it. Start the server and repeat the command."
        )
