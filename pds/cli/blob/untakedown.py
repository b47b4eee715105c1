"""`pds blob untakedown`."""

from __future__ import annotations

from pathlib import Path

import click

from pds.cli.blob.subject import BlobSubject, blob_options
from repo.cid import Cid


@click.command()
@blob_options
def untakedown(account: str, cid: Cid, as_json: bool, env_file: Path | None) -> None:
    """Reverse the takedown of a blob.

    \b
    Examples:
      pds blob untakedown alice.test bafkreibme22gw2h7y2h7tg2fhqotaqjucnbc24deqo72b6mkl2egezxhvy
    """
    BlobSubject.find(account, cid, env_file).put_back(as_json=as_json)
