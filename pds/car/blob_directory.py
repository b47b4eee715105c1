"""Blobs of an archive: files in a directory, trusted only if they hash to their names.

Paths are `<blobs>/<did>/<cid>` or `<blobs>/<did>/<shard>/<cid>`, with any names of shards.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog
from cachetools import LRUCache

from actor_store.blob_store.base import HEAD_BYTES
from actor_store.blob_store.disk_files import OpenFile
from repo.cid import Cid

_DIRECTORY: Final = re.compile(r"did:[a-z]{1,32}:[A-Za-z0-9._:%-]{1,2000}", re.ASCII)
_READ_BYTES: Final = 1024 * 1024
_REMEMBERED: Final = 100_000

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class FoundBlob:
    """A blob whose bytes hash to its CID."""

    file: OpenFile
    head: bytes
    """Its first bytes, for recognising its media type."""


class BlobDirectory:
    """Looks up blobs; finds none without a directory."""

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        # Size and mtime of files whose hash matched: an archive's files rarely change.
        self._checked: LRUCache[Path, tuple[int, int]] = LRUCache(_REMEMBERED)

    async def open(self, did: str, cid: Cid) -> FoundBlob | None:
        """Open a blob; return None if it is missing or does not hash to its name."""
        return await asyncio.to_thread(self._open, did, cid)

    async def present(self, did: str, cids: Sequence[Cid]) -> list[Cid]:
        """Return the `cids` that have a file; its contents are not checked."""

        def find() -> list[Cid]:
            return [cid for cid in cids if self._find(did, cid) is not None]

        return await asyncio.to_thread(find)

    def _open(self, did: str, cid: Cid) -> FoundBlob | None:
        path = self._find(did, cid)
        if path is None:
            return None
        try:
            with path.open("rb") as file:
                status = os.fstat(file.fileno())
                mark = (status.st_size, status.st_mtime_ns)
                if self._checked.get(path) != mark and not _hashes_to(path, cid):
                    _log.warning("a blob's file has other bytes than its name says", file=str(path))
                    return None
                self._checked[path] = mark
                head = file.read(HEAD_BYTES)
            return FoundBlob(OpenFile(path), head)
        except OSError:
            return None  # It was deleted, or is unreadable.

    def _find(self, did: str, cid: Cid) -> Path | None:
        if self._directory is None or not _DIRECTORY.fullmatch(did):
            return None
        directory, name = self._directory / did, str(cid)
        if (directory / name).is_file():
            return directory / name
        try:
            with os.scandir(directory) as entries:
                shards = [Path(entry.path) for entry in entries if entry.is_dir()]
        except OSError:
            return None
        return next((shard / name for shard in shards if (shard / name).is_file()), None)


def _hashes_to(path: Path, cid: Cid) -> bool:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_READ_BYTES):
            digest.update(chunk)
    return Cid.of_raw_digest(digest.digest()) == cid
