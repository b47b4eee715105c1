"""`pds record untakedown`."""

from __future__ import annotations

from pathlib import Path

import click

from pds.cli.record.subject import RecordSubject, record_options
from repo.syntax import AtUri


@click.command()
@record_options
def untakedown(uri: AtUri, as_json: bool, env_file: Path | None) -> None:
    """Reverse the takedown of a record.

    \b
    Examples:
      pds record untakedown at://alice.example.com/app.bsky.feed.post/3jzfcijpj2z2a
    """
    RecordSubject.find(uri, env_file).put_back(as_json=as_json)
