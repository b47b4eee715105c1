"""`pds car pack`: a CAR from a directory of JSON files."""

from __future__ import annotations

import secrets
import tempfile
import time
from pathlib import Path

import click

from pds.cli.car.failures import explained
from pds.cli.car.files import STANDARD, binary_stdout, write_notes, write_stdout
from pds.cli.failures import note
from pds.cli.output import say
from pds.cli.progress import progress_bars
from pds.reporting import counted


@click.command()
@click.argument("directory", metavar="DIR", type=click.Path(path_type=Path))
@click.argument("file", metavar="FILE")
@click.option(
    "--key",
    "key_file",
    type=click.Path(path_type=Path),
    help="Sign a new commit with the private key in this file: 32 bytes, or as hexadecimal text.",
)
@explained()
def pack(directory: Path, file: str, key_file: Path | None) -> None:
    """Make a CAR from a directory made by `unpack`.

    Without a key, the records must be those that were unpacked: the CAR has the same commit
    with the same signature. With the account's signing key, records may be changed, added and
    removed; a new commit with a higher rev is signed. An existing FILE is replaced.

    \b
    Examples:
      pds car pack alice alice.car
      pds car pack alice alice.car --key /pds/actors/35/did:plc:3kwllkzztbpgdj7ujjfg4ubk/key
      pds car pack alice - | pds car verify -
    """
    from pds.car.output_file import output_file
    from pds.car.packing import Signing
    from pds.car.packing import pack as pack_files
    from pds.car.signing_keys import read_private_key
    from repo.tid import TidClock

    signing = None
    if key_file is not None:
        clock = TidClock(lambda: time.time_ns() // 1000, secrets.randbelow(32))
        signing = Signing(read_private_key(key_file), clock)
    to_stdout = file == STANDARD
    if to_stdout:
        binary_stdout()
    # Next to the result, since there must be space for the same amount again.
    room = None if to_stdout else Path(file).resolve().parent
    with progress_bars() as progress, tempfile.TemporaryFile(dir=room) as spool:
        packed = pack_files(directory, spool, signing=signing, progress=progress)
        if to_stdout:
            write_stdout(packed.iter_car())
        else:
            with output_file(Path(file)) as out:
                out.writelines(packed.iter_car())
    write_notes(packed.odd.lines())
    commit = packed.signed.commit
    kept = "newly signed" if packed.is_new_commit else "with the signature it had"
    records = counted(packed.records, "record")
    say(f"{file}: {records} of {commit.did}, rev {commit.rev}, {kept}", err=True)
    if not packed.is_same_key:
        note(
            "the commit before was signed with another key. A server takes this one only if the "
            "DID document names the new key."
        )
