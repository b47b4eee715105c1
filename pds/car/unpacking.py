"""Unpacking a repository into a directory: a file for each record, and the commit."""

from __future__ import annotations

import os
import secrets
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Final

from pds.car.canonical import OnRecord, ignore_record
from pds.car.errors import UnpackRefused
from pds.car.file_names import COMMIT, is_ignored, path_of
from pds.car.record_files import encode_file, json_text
from pds.car.repo_file import RepoFile, record_block
from pds.car.verification import check_record
from pds.reporting import Progress, no_progress
from repo import dagcbor
from repo.mst import TreeRecord

UNPACKING: Final = "unpacking"


def unpack(
    repo: RepoFile,
    directory: Path,
    progress: Progress = no_progress,
    *,
    on_record: OnRecord = ignore_record,
) -> int:
    """Write the records and the commit of `repo` into `directory`, which is created if needed.

    Returns the number of records. Raises `UnpackRefused` if it is not empty, `InvalidRepo` and
    `MstError`; an error leaves nothing behind.
    """
    directory = Path(os.path.realpath(directory))
    is_new = not directory.exists()
    if is_new:
        directory.mkdir()
    elif not _is_empty(directory):
        raise UnpackRefused(
            f"{directory} is not empty. Name a new directory: what lies in this one would be "
            "packed as part of the repository."
        )
    part = directory / f".{secrets.token_hex(8)}.part"
    try:
        part.mkdir()
        records = _write_records(repo, part, progress, on_record)
        _move_up(part)
        # Written last, because its presence means that the rest is complete.
        commit = json_text(dagcbor.decode_trusted(repo.commit_block))
        (directory / COMMIT).write_bytes(commit)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        if is_new:
            with suppress(OSError):
                directory.rmdir()
        raise
    return records


def _write_records(repo: RepoFile, part: Path, progress: Progress, on_record: OnRecord) -> int:
    records = 0
    for record in repo.iter_records():
        on_record(record, _write_record(repo, record, part))
        records += 1
        if records % 1000 == 0:
            progress(UNPACKING, records, 0)
    return records


def _write_record(repo: RepoFile, record: TreeRecord, part: Path) -> bytes:
    block = record_block(record, repo.blocks)
    check_record(record, block)
    path = part / path_of(record.key)
    suffix, content = encode_file(block)
    path = path.with_name(path.name + suffix)
    try:
        file = path.open("xb")
    except FileNotFoundError:
        path.parent.mkdir(parents=True)
        file = path.open("xb")
    with file:
        file.write(content)
    return block


def _move_up(part: Path) -> None:
    for entry in list(part.iterdir()):
        entry.rename(part.parent / entry.name)
    part.rmdir()


def _is_empty(directory: Path) -> bool:
    with os.scandir(directory) as entries:
        return all(is_ignored(entry.name) for entry in entries)
