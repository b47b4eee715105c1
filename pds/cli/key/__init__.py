"""`pds key`: replacing keys."""

from __future__ import annotations

from typing import Final

import click

from pds.cli.lazy_group import LazyGroup

COMMANDS: Final = {
    "rotate": "Give an account a new signing key.",
    "rotate-plc": "Replace the server's old rotation key with the new one, in every DID.",
}
"""Every command and the first line of its help."""


@click.group(cls=LazyGroup, package=__name__, summaries=COMMANDS)
def key() -> None:
    """Replace the keys of accounts, and the server's rotation key in their DIDs.

    \b
    Examples:
      pds key rotate alice.example.com
      pds key rotate-plc --old-key-file old.key
    """
