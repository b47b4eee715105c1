"""Downloading a repository: every block is hashed and indexed as it arrives."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Self

from pds.car.account_lookup import Account
from pds.car.block_file import BlockFile, CarScan
from pds.car.errors import ExportFailed
from pds.car.remote import Retries
from pds.reporting import Progress
from repo.car import InvalidCar
from repo.cid import Cid
from repo.mst import MissingBlock
from repo.verify import InvalidRepo, root_of

FETCHING: Final = "fetching"


@dataclass(slots=True)
class Download:
    """A downloaded CAR in a temporary file. Use a `with` block."""

    root: Cid
    blocks: BlockFile
    file: BinaryIO

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()


class MergedBlocks:
    """The blocks of a download on top of those of an older copy; a `MarkableBlocks`."""

    def __init__(self, new: BlockFile, old: BlockFile) -> None:
        """Clear the marks of earlier uses."""
        old.clear_marks()
        self._new = new
        self._old = old

    def get_block(self, cid: Cid, /) -> bytes:
        """Read a block. Raises `MissingBlock`."""
        try:
            return self._new.get_block(cid)
        except MissingBlock:
            return self._old.get_block(cid)

    def mark(self, cid: Cid, /) -> bool:
        """Mark a block. Return False if it was already marked. Raises `MissingBlock`."""
        try:
            return self._new.mark(cid)
        except MissingBlock:
            return self._old.mark(cid)


async def download(
    account: Account,
    *,
    since: str | None,
    directory: Path | None,
    retries: Retries,
    progress: Progress,
) -> Download:
    """Fetch the blocks after the rev `since`, or all blocks. Raises `ExportFailed`.

    An interrupted transfer starts again. The temporary file is in `directory`, None for the
    system's; it has no name and disappears with this process.
    """

    async def attempt() -> Download:
        return await _receive(account, since=since, directory=directory, progress=progress)

    try:
        return await retries.run(attempt)
    except (InvalidCar, InvalidRepo) as exc:
        raise ExportFailed(f"{account.pds.url} sends a damaged CAR: {exc}") from exc


async def _receive(
    account: Account, *, since: str | None, directory: Path | None, progress: Progress
) -> Download:
    params = {"did": account.did, **({} if since is None else {"since": since})}
    with ExitStack() as stack:
        file = stack.enter_context(tempfile.TemporaryFile(dir=directory))
        blocks = BlockFile(file)
        scan = CarScan(blocks)
        received = 0
        async with aclosing(account.pds.stream("com.atproto.sync.getRepo", **params)) as chunks:
            async for chunk in chunks:
                file.write(chunk)
                file.flush()
                scan.feed(chunk)
                received += len(chunk)
                progress(FETCHING, received, 0)
        result = Download(root_of(scan.finish()), blocks, file)
        stack.pop_all()
    return result
