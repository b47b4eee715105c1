"""`pds car unpack`: a CAR as a directory of JSON files."""

from __future__ import annotations

from pathlib import Path

import click

from pds.cli.car.failures import explained
from pds.cli.car.files import DirectoryType, file_argument, opened_repo, write_notes
from pds.cli.output import say
from pds.cli.progress import progress_bars
from pds.reporting import counted


@click.command()
@file_argument()
@click.argument("directory", metavar="DIR", type=DirectoryType())
@explained()
def unpack(file: str, directory: Path) -> None:
    """Write every record to a file of its own.

    DIR is created if needed and must be empty. It gets DIR/COLLECTION/RKEY.json for each record and
    DIR/_commit.json with the signature. In names, upper-case and other special characters are
    %XX. A record that JSON cannot represent exactly becomes RKEY.dag-cbor, the unchanged block.

    \b
    Examples:
      pds car unpack alice.car alice
      pds car export alice.example.com - | pds car unpack - alice
    """
    from pds.car.oddities import Oddities
    from pds.car.unpacking import unpack as write_files

    odd = Oddities()
    with opened_repo(file) as repo, progress_bars() as progress:
        records = write_files(repo, directory, progress, on_record=odd.look_at)
    write_notes(odd.lines())
    say(f"{directory}: {counted(records, 'record')} of {repo.commit.did}", err=True)
