"""`pds record takedown`."""

from __future__ import annotations

from pathlib import Path

import click

from pds.cli.record.subject import RecordSubject, record_options
from pds.cli.takedowns import reason_option
from repo.syntax import AtUri


@click.command()
@record_options
@reason_option
def takedown(uri: AtUri, ref: str | None, as_json: bool, env_file: Path | None) -> None:
    """Take a record down: hide it from everyone.

    Its owner may still delete it, or change it, which shows nobody anything. Nothing is deleted;
    `pds record untakedown` shows it again. It stays in the repository, since verifying services
    need all of it, and copies elsewhere stay as they are: AppViews have moderators of their own.

    \b
    Examples:
      pds record takedown at://alice.example.com/app.bsky.feed.post/3jzfcijpj2z2a --ref "report 17"
    """
    RecordSubject.find(uri, env_file).take_down(ref, as_json=as_json)
