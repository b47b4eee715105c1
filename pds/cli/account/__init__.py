"""`pds account`: the accounts of this server."""

from __future__ import annotations

from typing import Final

import click

from pds.cli.lazy_group import LazyGroup

COMMANDS: Final = {
    "create": "Create an account; no invite code is needed.",
    "list": "List all accounts, oldest first. Works while the server runs.",
    "show": "Show everything known about an account. Works while the server runs.",
    "reset-password": "Set a new password for an account, and end its sessions.",
    "update-handle": "Change an account's handle; reserved handles are allowed.",
    "update-email": "Change an account's email address.",
    "deactivate": "Hide an account until it is activated. Its user can still log in.",
    "activate": "End a deactivation, if the account's DID points to this server.",
    "takedown": "Take an account down: hide it and end its sessions.",
    "untakedown": "Reverse a takedown. Sessions that it ended stay ended.",
    "second-factor": "Help people who have lost their second factor.",
    "quota": "Show or set how much space an account may use, database and blobs together.",
    "delete": "Delete an account with its repository, blobs and events.",
}
"""Every command and the first line of its help."""


@click.group(cls=LazyGroup, package=__name__, summaries=COMMANDS)
def account() -> None:
    """Create, list and change accounts.

    ACCOUNT is a handle, a DID or an email address. Commands that change something are carried out
    by the running server, or on its files if none runs.

    \b
    Examples:
      pds account create alice@example.com alice.example.com
      pds account list
      pds account show alice.example.com
      pds account show alice@example.com
      pds account takedown did:plc:ewvi7nxzyoun6zhxrhs64oiz --ref "report 17"
    """
