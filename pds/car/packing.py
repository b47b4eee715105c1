"""Packing a directory into a repository, the inverse of unpacking, with the old or a new commit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from database.connection import Database
from database.temporary import open_scratch
from pds.car.block_file import BlockSpool
from pds.car.canonical import iter_car
from pds.car.errors import PackRefused
from pds.car.file_names import (
    COMMIT,
    DAG_CBOR,
    JSON,
    MAX_PARTS,
    NotAFileName,
    is_ignored,
    key_of,
)
from pds.car.oddities import Oddities
from pds.car.record_files import decode_file
from pds.reporting import Progress, no_progress
from repo.cid import Cid
from repo.commit import Commit, SignedCommit, sign_commit
from repo.keys import PrivateKey
from repo.mst import MemoryBlocks, TreeRecord, build_blocks
from repo.record import MAX_RECORD_BYTES
from repo.tid import InvalidTid, TidClock
from repo.verify import InvalidRepo, read_commit

PACKING: Final = "packing"
_MAX_FILE_BYTES: Final = 6 * MAX_RECORD_BYTES
"""JSON takes at most six bytes for one byte of a record: `\\u0000`."""


@dataclass(slots=True, frozen=True)
class PackedRepo:
    """A repository whose blocks are in a temporary file."""

    signed: SignedCommit
    blocks: BlockSpool
    records: int
    is_new_commit: bool
    odd: Oddities
    is_same_key: bool
    """Whether this commit and the previous one are signed by the same key, or are the same."""

    def iter_car(self) -> Iterator[bytes]:
        """Yield the CAR in parts. Can be read once."""
        signed = self.signed
        return iter_car(signed.cid, signed.block, data=signed.commit.data, blocks=self.blocks)


@dataclass(slots=True, frozen=True)
class Signing:
    """The key of a new commit, and the clock for its rev."""

    key: PrivateKey
    clock: TidClock


def pack(
    directory: Path,
    spool: BinaryIO,
    *,
    signing: Signing | None,
    progress: Progress = no_progress,
) -> PackedRepo:
    """Build a repository from the files in `directory`, with its blocks in the new file `spool`.

    Without `signing`, the records must be those signed by the commit in the directory. Raises
    `PackRefused` and `OSError`.
    """
    before = _read_commit(directory)
    odd = Oddities()
    blocks = BlockSpool(spool)
    db = open_scratch()
    try:
        records = _read_records(directory, blocks, db, odd, progress)
        data = _build_tree(blocks, db)
    finally:
        db.close()
    if signing is None:
        if data != before.commit.data:
            raise PackRefused(
                f"{directory}: the records are not those that its commit signs (their tree is "
                f"{data}, not {before.commit.data}): some were changed, added or removed since. "
                "Undo that, or sign them as a new commit with --key FILE."
            )
        return PackedRepo(before, blocks, records, odd=odd, is_new_commit=False, is_same_key=True)
    return PackedRepo(
        _sign(before.commit, data, signing),
        blocks,
        records,
        odd=odd,
        is_new_commit=True,
        is_same_key=before.commit.verify(signing.key.public),
    )


def _read_commit(directory: Path) -> SignedCommit:
    path = directory / COMMIT
    try:
        block = decode_file(JSON, _read_file(path))
        cid = Cid.of_dag_cbor(block)
        commit, _ = read_commit(cid, MemoryBlocks({cid: block}))
    except FileNotFoundError as exc:
        raise PackRefused(f"{path} is missing: {directory} is not an unpacked CAR.") from exc
    except (ValueError, InvalidRepo) as exc:
        raise PackRefused(f"{path} is not a commit: {exc}") from exc
    return SignedCommit(cid, block, commit)


def _read_records(
    directory: Path, blocks: BlockSpool, db: Database, odd: Oddities, progress: Progress
) -> int:
    """Put each record's block into `blocks` and its key into `db`. Return the number of records."""
    db.run("CREATE TABLE record (key TEXT NOT NULL, cid BLOB NOT NULL) STRICT")
    count = 0
    for path, suffix, file in _iter_files(directory, PurePosixPath()):
        try:
            key = key_of(path)
            block = decode_file(suffix, _read_file(file))
        except NotAFileName as exc:
            raise PackRefused(f"{file} has a name that unpack would not give: {exc}") from exc
        except ValueError as exc:
            raise PackRefused(f"{file} is not a record: {exc}") from exc
        cid = Cid.of_dag_cbor(block)
        blocks.append(cid, block)
        odd.look_at(TreeRecord(key, cid), block)
        db.run("INSERT INTO record (key, cid) VALUES (?, ?)", (key, cid.raw))
        count += 1
        if count % 1000 == 0:
            progress(PACKING, count, 0)
    return count


def _build_tree(blocks: BlockSpool, db: Database) -> Cid:
    """Put the nodes into `blocks`. Return the root."""
    root: Cid | None = None
    for cid, block in build_blocks(_iter_sorted(db)):
        blocks.append(cid, block)
        root = cid
    assert root is not None  # noqa: S101 - even the empty tree has a node
    return root


def _iter_sorted(db: Database) -> Iterator[tuple[str, Cid]]:
    before = ""
    for key, raw in db.iter("SELECT key, cid FROM record ORDER BY key"):
        if key == before:
            raise PackRefused(f"record {key} has two files, {JSON} and {DAG_CBOR}: remove one.")
        before = key
        yield key, Cid(raw)


def _sign(before: Commit, data: Cid, signing: Signing) -> SignedCommit:
    try:
        rev = signing.clock.next_rev(before.rev)
    except InvalidTid as exc:
        raise PackRefused(f"there is no rev above that of the commit, {before.rev}") from exc
    return sign_commit(before.did, data=data, rev=rev, key=signing.key)


def _iter_files(
    directory: Path, relative: PurePosixPath
) -> Iterator[tuple[PurePosixPath, str, Path]]:
    """Yield every record's file: its path without suffix, the suffix, and the full path."""
    with os.scandir(directory) as entries:
        for entry in entries:
            path = Path(entry.path)
            if is_ignored(entry.name) or (entry.name == COMMIT and relative == PurePosixPath()):
                continue
            if entry.is_symlink():
                raise PackRefused(f"{path} is a symbolic link: put the file itself there.")
            below = relative / entry.name
            if entry.is_dir():
                if len(below.parts) > MAX_PARTS:
                    raise PackRefused(f"{path} is deeper than any record's file.")
                yield from _iter_files(path, below)
                continue
            suffix = next((s for s in (JSON, DAG_CBOR) if entry.name.endswith(s)), None)
            if suffix is None or not entry.is_file():
                raise PackRefused(
                    f"{path} is not a record: move it away. Records are {JSON} or {DAG_CBOR} files."
                )
            yield below.with_name(entry.name.removesuffix(suffix)), suffix, path


def _read_file(path: Path) -> bytes:
    with path.open("rb") as file:
        # Checked first, because `read` allocates memory for all that it may read.
        if os.fstat(file.fileno()).st_size > _MAX_FILE_BYTES:
            raise ValueError(f"it has more than {_MAX_FILE_BYTES:,} bytes")
        return file.read()
