"""The directories of a disk blob store, and the names of files in them and in the replica.

<did>/<cid>, quarantine/<did>/<cid>       blobs of accounts
oci/sha256/<first 2 hex digits>/<hex>     layers of a hold

Every file is named for the SHA-256 of its bytes and never changes. Unfinished uploads lie elsewhere
and are not copied.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from heapq import nsmallest
from itertools import chain, islice
from pathlib import Path
from typing import Final

from actor_store.blob_store.names import is_did_name
from pds.replication.replica.names import BLOBS, decode_did, encode_did
from repo.cid import RAW, Cid, InvalidCid

_QUARANTINE: Final = "quarantine/"
LAYERS: Final = "oci/sha256/"
"""Below the directory of blobs, and below `names.BLOBS` in the replica."""
_HEX: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_PREFIX: Final = re.compile(r"[0-9a-f]{2}", re.ASCII)


@dataclass(slots=True, frozen=True)
class BlobDirectory:
    """A directory of files that are named for their contents."""

    path: str
    """Below the directory of blobs, such as a DID."""

    @property
    def replica_prefix(self) -> str:
        """How the names of its copies begin."""
        return f"{BLOBS}{encode_did(self.path)}/"

    @property
    def _has_layers(self) -> bool:
        return self.path.startswith(LAYERS)

    def parse(self, name: str) -> bytes | None:
        """Return the SHA-256 that a file is named for; None for a file that is no blob."""
        if self._has_layers:
            return bytes.fromhex(name) if _HEX.fullmatch(name) else None
        try:
            cid = Cid.parse(name)
        except InvalidCid:
            return None
        return cid.raw[4:] if cid.is_blessed and cid.codec == RAW else None

    def name_of(self, digest: bytes) -> str:
        """Return the name of a file; inverse of `parse`."""
        return digest.hex() if self._has_layers else str(Cid.of_raw_digest(digest))

    def copy_of(self, digest: bytes) -> str:
        """Return the name of a file's copy in the replica."""
        return self.replica_prefix + self.name_of(digest)


def directories_of(did: str) -> tuple[BlobDirectory, BlobDirectory]:
    """Return the directories of an actor's blobs, existing or not."""
    return BlobDirectory(did), BlobDirectory(_QUARANTINE + did)


def directory_of_copy(name: str) -> tuple[BlobDirectory | None, str]:
    """Return where the file of a copy lies, and its name; None for a copy that is no blob's."""
    path, _, file = name.removeprefix(BLOBS).rpartition("/")
    path = decode_did(path)
    is_known = is_did_name(path.removeprefix(_QUARANTINE)) or (
        path.startswith(LAYERS) and _PREFIX.fullmatch(path.removeprefix(LAYERS)) is not None
    )
    return (BlobDirectory(path) if is_known else None), file


def list_chunks(blobs: Path, size: int) -> Iterator[list[tuple[BlobDirectory, int]]]:
    """Yield all directories, with the times of their last change in ns, some at a time.

    Waits for the disk. Raises `OSError` if the directory of blobs cannot be read.
    """
    found = chain(
        _iter_dids(blobs, ""),
        _iter_dids(blobs / _QUARANTINE, _QUARANTINE, optional=True),
        _iter_layers(blobs / LAYERS),
    )
    while chunk := list(islice(found, size)):
        yield chunk


def mtime_ns_of(blobs: Path, directory: BlobDirectory) -> int | None:
    """Return when a directory last changed; None if it is missing. Raises `OSError`."""
    with suppress(FileNotFoundError, NotADirectoryError):
        return (blobs / directory.path).stat().st_mtime_ns
    return None


def list_digests(blobs: Path, directory: BlobDirectory, *, after: bytes, limit: int) -> list[bytes]:
    """Return the next files of a directory, in the order of digests.

    Reads the whole directory for each page, but keeps no more than a page in memory. Empty if the
    directory is missing. Raises `OSError`.
    """
    with suppress(FileNotFoundError), os.scandir(blobs / directory.path) as entries:
        found = (directory.parse(entry.name) for entry in entries if _is_file(entry))
        return nsmallest(limit, (d for d in found if d is not None and d > after))
    return []


def hash_file(path: Path) -> bytes:
    """Return the SHA-256 of a file. Raises `OSError`."""
    with path.open("rb", buffering=0) as file:
        return hashlib.file_digest(file, "sha256").digest()


def _iter_dids(
    directory: Path, prefix: str, *, optional: bool = False
) -> Iterator[tuple[BlobDirectory, int]]:
    try:
        entries = os.scandir(directory)
    except FileNotFoundError:
        if optional:
            return
        raise
    with entries:
        for entry in entries:
            if is_did_name(entry.name):
                yield from _with_time(entry, prefix)


def _iter_layers(directory: Path) -> Iterator[tuple[BlobDirectory, int]]:
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            if _PREFIX.fullmatch(entry.name):
                yield from _with_time(entry, LAYERS)


def _with_time(entry: os.DirEntry[str], prefix: str) -> Iterator[tuple[BlobDirectory, int]]:
    # One that is deleted meanwhile is gone.
    with suppress(FileNotFoundError):
        if entry.is_dir():
            yield BlobDirectory(prefix + entry.name), entry.stat().st_mtime_ns


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # Such as a link that leads to itself.
        return False
