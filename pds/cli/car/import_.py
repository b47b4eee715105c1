"""`pds car import`: an account of this server from a CAR."""

from __future__ import annotations

import asyncio
import os
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import click

from pds.car.errors import CarToolError
from pds.cli.car.failures import explained
from pds.cli.car.files import STANDARD, file_argument
from pds.cli.car.keys import key_option
from pds.cli.environment import env_file_option, explain_failures, load_settings
from pds.cli.operator import operate
from pds.cli.output import json_option, print_fields, print_json, say
from pds.cli.progress import progress_bars
from pds.reporting import Progress, counted
from repo.syntax import Did

if TYPE_CHECKING:
    from pds.cli.car.import_target import ImportTarget
    from pds.cli.operator import Server
    from repo.keys import PublicKey

_READ_BYTES: Final = 1024 * 1024


@click.command("import")
@file_argument()
@click.option("--email", help="Email address of the new account.")
@click.option("--handle", help="Handle of the new account; by default the one its DID names.")
@click.option(
    "--blobs",
    type=click.Path(path_type=Path),
    help="Also import its blobs from this directory, as written by `pds car export --blobs`.",
)
@key_option
@click.option(
    "--ignore-signature",
    is_flag=True,
    help="Accept the repository whoever signed it: nothing proves that its records are authentic.",
)
@json_option
@env_file_option
@explain_failures
@explained()
def import_(
    file: str,
    email: str | None,
    handle: str | None,
    blobs: Path | None,
    key: PublicKey | None,
    ignore_signature: bool,
    as_json: bool,
    env_file: Path | None,
) -> None:
    """Create a deactivated account of this server from a CAR.

    The account has the DID of the repository, and a new password, which is printed. It stays
    deactivated until its owner makes the DID point to this server; what the DID document must say
    then is printed, too. If the DID has a deactivated account here, its repository is replaced.

    The commit must be signed with a key that the DID document names or, for a did:plc, has named
    before; or with that of --key. A CAR that is refused changes nothing. If importing blobs is cut
    off, the account exists, and the same command imports the rest. The running server does it, or
    the command itself on the files if no server runs.

    \b
    Examples:
      pds car import alice.car --email alice@example.com --blobs blobs
      pds car import alice.car --email alice@example.com --handle alice.pds.example.com
      pds car export alice.example.com - | pds car import - --email alice@example.com
    """
    settings = load_settings(env_file)
    if blobs is not None and not blobs.is_dir():
        raise CarToolError(f"{blobs} is not a directory.")
    asked = {
        "handle": handle,
        "email": email,
        "key": None if key is None else key.did_key,
        "ignoreSignature": "true" if ignore_signature else None,
    }
    work = _Work({name: value for name, value in asked.items() if value is not None}, blobs)
    try:
        with ExitStack() as stack:
            work.source = sys.stdin.buffer
            if file != STANDARD:
                work.source = stack.enter_context(Path(file).open("rb"))
            work.progress = stack.enter_context(progress_bars())
            operate(settings, work.run)
    finally:
        # Even if importing blobs failed, the account exists, and only we have its password.
        if work.done is not None:
            is_hold = settings.is_hold(work.done["did"])
            _print(work.done, as_json=as_json, had_blobs=blobs is not None, is_hold=is_hold)


class _Work:
    def __init__(self, asked: dict[str, str], blobs: Path | None) -> None:
        self.source: BinaryIO
        self.progress: Progress
        self.done: dict[str, Any] | None = None
        """The result for the account, once it exists."""
        self._asked = asked
        self._blobs = blobs

    async def run(self, server: Server) -> None:
        from pds.cli.car.import_target import ImportTarget

        target = ImportTarget(server)
        self.done = await target.bring_account(self._chunks(), self._asked, self.progress)
        if self._blobs is not None and self.done["missingBlobs"]:
            await self._bring_blobs(target, self._blobs, self.done)

    async def _chunks(self) -> AsyncIterator[bytes]:
        total, done = _size_of(self.source), 0
        while chunk := await asyncio.to_thread(self.source.read, _READ_BYTES):
            done += len(chunk)
            self.progress("reading", done, total)
            yield chunk
        self.progress("loading", 0, 0)

    async def _bring_blobs(self, target: ImportTarget, blobs: Path, done: dict[str, Any]) -> None:
        """Import the missing blobs that are in the directory."""
        from pds.car.blob_directory import BlobDirectory

        did, directory = Did(done["did"]), BlobDirectory(blobs)
        total, looked_at = done["missingBlobs"], 0
        after: str | None = None
        while missing := await target.list_missing(did, after=after):
            for cid in missing:
                found = await directory.open(did, cid)
                if found is not None:
                    async with found.file as blob:
                        await target.bring_blob(did, cid, blob)
                    done["missingBlobs"] -= 1
                looked_at += 1
                self.progress("blobs", looked_at, total)
            after = str(missing[-1])


def _size_of(source: BinaryIO) -> int:
    """Return the length of a file; 0 for a pipe."""
    status = os.fstat(source.fileno())
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def _print(done: dict[str, Any], *, as_json: bool, had_blobs: bool, is_hold: bool) -> None:
    if as_json:
        print_json(done)
        return
    names = ("handle", "did", "rev", "records", "password")
    print_fields([(name, done[name]) for name in names if done[name] is not None])
    if done["password"] is None and not is_hold:
        click.echo("The account existed before: its handle, email and password are unchanged.")
    if done["missingBlobs"]:
        what = counted(done["missingBlobs"], "blob")
        where = "are not in the directory" if had_blobs else "can be imported with --blobs"
        click.echo(f"{what} that its records refer to {where}.")
    if "oddRecords" in done:
        odd = done["oddRecords"]
        what = "it is" if odd["count"] == 1 else "they are"
        click.echo(f"{counted(odd['count'], 'odd record')}, kept as {what}:")
        for one in odd["examples"]:
            say(f"  {one['uri']}: {one['reason']}")
    if is_hold:
        click.echo(
            "It is the hold of this server. The next start activates it, and serves a DID document "
            "with its new key."
        )
        return
    click.echo("\nIt is deactivated until its DID points here. The DID must say:")
    for name, value in _lines(done["didCredentials"]):
        say(f"  {name:20} {value}")
    click.echo(f"When it does, run: pds account activate {done['did']}")


def _lines(credentials: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the fields of a DID for people."""
    keys, services = credentials["verificationMethods"], credentials["services"]
    return [
        *(("rotation key", key) for key in credentials.get("rotationKeys", ())),
        *(("handle", name) for name in credentials.get("alsoKnownAs", ())),
        *((f"#{name}", key) for name, key in keys.items()),
        *((f"#{name}", service["endpoint"]) for name, service in services.items()),
    ]
