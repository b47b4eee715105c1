"""`pds blob takedown`."""

from __future__ import annotations

from pathlib import Path

import click

from pds.cli.blob.subject import BlobSubject, blob_options
from pds.cli.takedowns import reason_option
from repo.cid import Cid


@click.command()
@blob_options
@reason_option
def takedown(account: str, cid: Cid, ref: str | None, as_json: bool, env_file: Path | None) -> None:
    """Take a blob down: hide it from everyone.

    The file goes into quarantine; the account can neither upload it again nor refer to it in a new
    record. Nothing is deleted; `pds blob untakedown` shows it again. Copies elsewhere, such as in
    an AppView's caches, stay as they are.

    \b
    Examples:
      pds blob takedown alice.test bafkreibme22gw2h7y2h7tg2fhqotaqjucnbc24deqo72b6mkl2egezxhvy
    """
    BlobSubject.find(account, cid, env_file).take_down(ref, as_json=as_json)
