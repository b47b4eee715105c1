"""What a power failure leaves of files, by the journal of a `tests.e2e.volatile_disk`.

What was synced stays. Of what was written since, anything may have reached the disk: nothing, all
up to some write, or one here and one there, each torn between sectors. Files may be empty or gone
whose bytes or directory were not synced. What was deleted stays deleted.
"""

from __future__ import annotations

import os
import shutil
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final, TypeAlias

import cbor2

_SECTOR: Final = 512
_OTHERS: Final = ("plc.sqlite", "did_cache.sqlite", "oauth_replay.sqlite")
"""Another machine's, and those that may be deleted at any time."""

Write: TypeAlias = tuple[int, str, int, Any]
"""Its number; what it is; its offset or the size after it; its bytes."""


@dataclass(slots=True)
class _File:
    """What the journal knows of one file, by its inode."""

    is_new: bool = False
    writes: list[Write] = field(default_factory=list)
    synced: int = 0
    """How many entries of the journal were there when the newest sync began that is over."""
    synced_bytes: int = -1
    """Its size at that sync; -1 without one."""


class Base:
    """The files of a directory, all on the disk, before a server starts on it."""

    def __init__(self, data: Path, copy: Path) -> None:
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(data, copy)
        self._data = data
        self._contents = {
            path.stat().st_ino: copy / path.relative_to(data) for path in _files(data)
        }
        self._names = {str(path) for path in data.rglob("*")}

    def cut_power(self, journal: Path, random: Random) -> None:
        """Leave of the directory what a power failure may leave."""
        files, names = _read(journal)
        assert any(file.writes for file in files.values()), "the disk has noted nothing"
        for path in sorted(self._data.rglob("*"), reverse=True):
            if path.name.startswith(_OTHERS):
                continue
            is_durable = str(path) in self._names or path.name in names.get(str(path.parent), ())
            if not is_durable and random.random() < 0.5:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            elif path.name.endswith("-shm"):
                path.unlink()
            elif path.is_file():
                self._lose(path, files, random)
        journal.unlink()

    def _lose(self, path: Path, files: dict[int, _File], random: Random) -> None:
        inode = path.stat().st_ino
        file = files.get(inode, _File())
        base = None if file.is_new else self._contents.get(inode)
        if file.writes and ".sqlite" in path.name:
            before = b"" if base is None else base.read_bytes()
            path.write_bytes(_remains(before, file, random))
        elif base is None and ".sqlite" not in path.name:
            # A smaller one has the number of a file that was deleted, and was not synced itself.
            size = path.stat().st_size
            synced = file.synced_bytes if file.synced_bytes <= size else 0
            os.truncate(path, random.randint(max(synced, 0), size))


def _remains(before: bytes, file: _File, random: Random) -> bytes:
    """The bytes of a file of SQLite."""
    data = bytearray(before)
    for write in file.writes:
        if write[0] < file.synced:
            _apply(data, write, None)
    since = [write for write in file.writes if write[0] >= file.synced]
    match random.randrange(3):
        case 0:
            since = []
        case 1:
            since = since[: random.randint(0, len(since))]
        case 2:
            since = [write for write in since if random.random() < 0.7]
    for write in since:
        _apply(data, write, random)
    return bytes(data)


def _apply(data: bytearray, write: Write, random: Random | None) -> None:
    """Do a write, or with `random` perhaps only some of its sectors."""
    _, kind, at, content = write
    if kind == "truncate":
        del data[at:]
        return
    is_torn = random is not None and random.random() < 0.3
    end = at + len(content)
    start = at
    while start < end:
        following = min(end, (start // _SECTOR + 1) * _SECTOR)
        if not is_torn or (random is not None and random.random() < 0.5):
            if len(data) < following:
                data.extend(bytes(following - len(data)))
            data[start:following] = content[start - at : following - at]
        start = following


def _read(journal: Path) -> tuple[dict[int, _File], dict[str, set[str]]]:
    """The files by inode, and all names that were in a directory when it was synced."""
    files: dict[int, _File] = defaultdict(_File)
    # Two syncs at the same time may be over in the other order than they began in.
    names: dict[str, set[str]] = defaultdict(set)
    for number, entry in enumerate(_entries(journal)):
        match entry:
            case ["new", inode]:
                files[inode] = _File(is_new=True)
            case ["write", inode, offset, content]:
                files[inode].writes.append((number, "write", offset, content))
            case ["truncate", inode, size]:
                files[inode].writes.append((number, "truncate", size, None))
            case ["synced", inode, before, size]:
                file = files[inode]
                file.synced, file.synced_bytes = max(file.synced, before), size
            case ["directory", path, found]:
                names[path].update(found)
    return files, names


def _entries(journal: Path) -> Iterator[list[Any]]:
    with journal.open("rb") as file, suppress(cbor2.CBORDecodeEOF):
        decoder = cbor2.CBORDecoder(file)
        while True:  # Until the end, or an entry that the server was killed in.
            yield decoder.decode()


def _files(data: Path) -> Iterator[Path]:
    return (path for path in data.rglob("*") if path.is_file())
