"""`pds blobs`: the blobs of all accounts, and the place where they are kept."""

from __future__ import annotations

from typing import Final

import click

from pds.cli.lazy_group import LazyGroup

COMMANDS: Final = {
    "migrate": "Move all blobs to S3, or back to the disk.",
    "status": "Show how many blobs are on the disk and in S3.",
}
"""Every command and the first line of its help."""


@click.group(cls=LazyGroup, package=__name__, summaries=COMMANDS)
def blobs() -> None:
    """Move all blobs to S3, or back to the disk.

    For single blobs, see `pds blob`.

    \b
    Examples:
      pds blobs status
      pds blobs migrate --to s3
    """
