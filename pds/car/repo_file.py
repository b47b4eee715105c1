"""A repository in a CAR, with its blocks hashed and indexed and its commit read."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from pds.car.block_file import BlockFile, CarScan
from pds.reporting import Progress, no_progress
from repo.cid import Cid
from repo.mst import (
    BlockSource,
    MissingBlock,
    Mst,
    TreeRecord,
    UncachedNodeStore,
)
from repo.mst.key import encode_key
from repo.mst.walk import walk_forward
from repo.verify import InvalidRepo, read_commit, root_of

READING: Final = "reading"
_READ_BYTES: Final = 1024 * 1024


class RepoFile:
    """A repository in an open file. Use `close` or a `with` block.

    Each block is known to hash to its CID, and the root to be a commit. The tree below is checked
    as far as it is read, a record when it is decoded.
    """

    def __init__(self, file: BinaryIO, blocks: BlockFile, *, roots: tuple[Cid, ...]) -> None:
        """Read the commit. `file` is closed by `close`. Raises `InvalidRepo`."""
        self._file = file
        self.blocks = blocks
        self.root = root_of(roots)
        """The CID of the commit."""
        self.commit, self.commit_block = read_commit(self.root, blocks)

    @classmethod
    def open(cls, path: Path, progress: Progress = no_progress) -> Self:
        """Read a file once and index it. Raises `InvalidCar`, `InvalidRepo` and `OSError`."""
        return cls.read(path.open("rb", buffering=0), progress)

    @classmethod
    def read(cls, source: BinaryIO, progress: Progress = no_progress) -> Self:
        """Read like `open`, from an open file or pipe, which is closed in the end.

        A source that is not seekable is copied to an unnamed temporary file meanwhile.
        """
        with ExitStack() as stack:
            stack.enter_context(source)
            file, total = source, _size_of_file(source)
            copy = total is None
            if copy:
                file = stack.enter_context(tempfile.TemporaryFile())
            blocks = BlockFile(file)
            scan = CarScan(blocks)
            done = 0
            while chunk := source.read(_READ_BYTES):
                if copy:
                    file.write(chunk)
                    file.flush()
                scan.feed(chunk)
                done += len(chunk)
                progress(READING, done, total or 0)
            repo = cls(file, blocks, roots=scan.finish())
            if copy:
                source.close()
            stack.pop_all()
        return repo

    @property
    def size_bytes(self) -> int:
        """The size of the whole CAR."""
        return os.fstat(self._file.fileno()).st_size

    def iter_records(self, collection: str | None = None) -> Iterator[TreeRecord]:
        """Yield the records of one collection, or all, by key; reads only the tree."""
        start = b"" if collection is None else f"{collection}/".encode()
        nodes = UncachedNodeStore(self.blocks.get_block)
        for key, cid in walk_forward(nodes, self.commit.data.raw, start):
            if not key.startswith(start):
                return
            yield TreeRecord(key.decode(), Cid(cid))

    def find(self, key: str) -> TreeRecord | None:
        """Return the record at a key, or None. Raises `InvalidMst`, also for an impossible key."""
        encode_key(key)
        cid = Mst.load(self.commit.data, self.blocks).get(key)
        return None if cid is None else TreeRecord(key, cid)

    def close(self) -> None:
        """Close the file. May be repeated."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self.close()


def record_block(record: TreeRecord, blocks: BlockSource) -> bytes:
    """Return the block of a record. Raises `InvalidRepo` if it is missing."""
    try:
        return blocks.get_block(record.cid)
    except MissingBlock as exc:
        raise InvalidRepo(f"record {record.key} ({record.cid}) is missing", cid=record.cid) from exc


def _size_of_file(source: BinaryIO) -> int | None:
    """Return the size of a file opened at its start; None for a pipe or the like."""
    try:
        status = os.fstat(source.fileno())
        is_whole = stat.S_ISREG(status.st_mode) and source.tell() == 0
    except OSError:
        return None
    return status.st_size if is_whole else None
