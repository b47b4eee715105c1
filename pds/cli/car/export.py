"""`pds car export`: a copy of a live repository, and of its blobs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from pds.car.errors import CarToolError
from pds.car.repo_file import RepoFile
from pds.cli.car.failures import DAMAGED, explained, fail
from pds.cli.car.files import (
    STANDARD,
    DirectoryType,
    binary_stdout,
    open_repo,
    write_notes,
    write_stdout,
)
from pds.cli.output import say
from pds.cli.progress import progress_bars
from pds.reporting import Progress, counted

if TYPE_CHECKING:
    from pds.car.account_lookup import Account
    from pds.car.blob_download import BlobCounts
    from pds.car.blob_refs import BlobRefs
    from repo.mst import TreeRecord

_PLC_URL: Final = "https://plc.directory"


@dataclass(slots=True, frozen=True)
class _Options:
    identifier: str
    file: str | None
    blobs: Path | None
    plc_url: str
    pds_url: str | None
    ignore_signature: bool


@click.command()
@click.argument("identifier", metavar="DID|HANDLE")
@click.argument("file", required=False)
@click.option(
    "--blobs",
    type=DirectoryType(),
    help="Also fetch every blob that records refer to, into this directory as DID/CID.",
)
@click.option(
    "--plc", "plc_url", default=_PLC_URL, show_default=True, help="The PLC directory to ask."
)
@click.option("--pds", "pds_url", help="Ask this server, whatever the DID document says.")
@click.option(
    "--ignore-signature",
    is_flag=True,
    help="Accept the repository even if no key of the account has signed it.",
)
@explained()
def export(
    identifier: str,
    file: str | None,
    blobs: Path | None,
    plc_url: str,
    pds_url: str | None,
    ignore_signature: bool,
) -> None:
    """Copy a repository from its server, or bring a copy up to date.

    Writes FILE, or a file in this directory named after the DID. If it exists, only what is new is
    fetched. Everything is checked before FILE is replaced, and equal commits give equal files.
    With --blobs, blobs that are already there are not fetched again; if some cannot be fetched,
    the exit status is 1, but everything else is there.

    \b
    Examples:
      pds car export alice.example.com
      pds car export did:plc:3kwllkzztbpgdj7ujjfg4ubk alice.car --blobs blobs
      pds car export alice.test alice.car --pds http://localhost:2583 --plc http://localhost:2582
      pds car export alice.example.com - | pds car verify -
    """
    if file == STANDARD:
        binary_stdout()
    options = _Options(identifier, file, blobs, plc_url, pds_url, ignore_signature)
    with progress_bars() as progress:
        counts = asyncio.run(_export(options, progress))
    if counts is not None and counts.failed:
        fail(f"{counted(counts.failed, 'blob')} could not be fetched: run this again to retry.")


async def _export(options: _Options, progress: Progress) -> BlobCounts | None:
    from identity.http import SafeHttp
    from pds.car.account_lookup import look_up_account
    from pds.car.blob_refs import BlobRefs

    async with SafeHttp() as http:
        account = await look_up_account(
            options.identifier,
            http,
            plc_url=options.plc_url,
            pds_url=options.pds_url,
            with_key=not options.ignore_signature,
        )
        with BlobRefs() as refs:
            await _export_repo(account, options, refs, progress)
            return await _export_blobs(account, options.blobs, refs, progress)


async def _export_repo(
    account: Account, options: _Options, refs: BlobRefs, progress: Progress
) -> None:
    from pds.car.exporting import Export
    from pds.car.oddities import Oddities
    from pds.car.output_file import output_file
    from pds.car.remote import Retries

    file = options.file or f"{account.did.replace(':', '_')}.car"
    path = None if file == STANDARD else Path(file)

    def write(parts: Iterable[bytes]) -> None:
        if path is None:
            write_stdout(parts)
        else:
            with output_file(path) as out:
                out.writelines(parts)

    odd = Oddities()

    def look_at(record: TreeRecord, block: bytes) -> None:
        odd.look_at(record, block)
        if options.blobs is not None:
            refs.add(record, block)

    work = Export(
        account,
        write,
        spool_directory=None if path is None else path.resolve().parent,
        on_record=look_at,
        note=_note,
        retries=Retries(),
        progress=progress,
    )
    with ExitStack() as stack:
        old = None
        if path is not None and path.is_file():
            old = stack.enter_context(_open_old(file, progress))
        done = await work.run(old)
    write_notes(odd.lines())
    _note(f"{file}: {done.change}, {account.did} at rev {done.commit.rev}")


def _open_old(file: str, progress: Progress) -> RepoFile:
    try:
        return open_repo(file, progress)
    except DAMAGED as exc:
        raise CarToolError(f"{file}: {exc}. Move it away to fetch everything anew.") from exc


async def _export_blobs(
    account: Account, directory: Path | None, refs: BlobRefs, progress: Progress
) -> BlobCounts | None:
    from pds.car.blob_download import BlobDownload
    from pds.car.remote import Retries

    if directory is None:
        return None
    work = BlobDownload(
        account, directory, note_failure=_note, retries=Retries(), progress=progress
    )
    counts = await work.run(refs, total=refs.total().count)
    _note(
        f"{directory}: {counted(counts.fetched, 'blob')} fetched, {counts.present:,} there already"
    )
    return counts


def _note(message: str) -> None:
    say(message, err=True)
