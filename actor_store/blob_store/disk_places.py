"""The files of a disk blob store, listed and moved as `BlobPlaces`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from heapq import nsmallest
from pathlib import Path

from actor_store.blob_store import disk_files
from actor_store.blob_store.base import BlobFileMissing
from actor_store.blob_store.disk_files import OpenFile
from actor_store.blob_store.names import is_did_name
from actor_store.blob_store.places import Place, PlacedBlob
from database.files import sync
from database.open_files import OpenFiles


class DiskPlaces:
    """The directories of a `DiskBlobStore`. All disk access runs in a thread."""

    def __init__(
        self, directories: Mapping[Place, Path], *, full_sync: bool, files: OpenFiles
    ) -> None:
        """`full_sync` and `files` are as for the store."""
        self._directories = directories
        self._full_sync = full_sync
        self._files = files

    async def list_blobs(self, place: Place, *, after: str = "", limit: int) -> list[PlacedBlob]:
        """See `BlobPlaces.list_blobs`. Raises `OSError`."""
        return await asyncio.to_thread(_page, self._directories[place], place, after, limit)

    async def find_size(self, blob: PlacedBlob) -> int | None:
        """See `BlobPlaces.find_size`. Raises `OSError`."""
        return await asyncio.to_thread(_find_size, self._path(blob))

    async def open(self, blob: PlacedBlob) -> OpenFile:
        """See `BlobPlaces.open`. Raises `OSError`."""
        try:
            async with self._files.room(1):
                return await asyncio.to_thread(OpenFile, self._path(blob))
        except FileNotFoundError as exc:
            raise BlobFileMissing(blob.did, blob.name) from exc

    async def put(self, blob: PlacedBlob, *, key: str) -> None:
        """See `BlobPlaces.put`. Raises `OSError`."""
        temp = self._path(PlacedBlob(Place.TEMPORARY, blob.did, key, blob.size))
        if not await asyncio.to_thread(self._move, temp, self._path(blob)):
            raise BlobFileMissing(blob.did, key)

    async def remove(self, blob: PlacedBlob) -> None:
        """See `BlobPlaces.remove`. Raises `OSError`."""
        await asyncio.to_thread(self._path(blob).unlink, missing_ok=True)

    def _path(self, blob: PlacedBlob) -> Path:
        blob.check_name()
        return self._directories[blob.place] / blob.did / blob.name

    def _move(self, temp: Path, final: Path) -> bool:
        moved = disk_files.move(temp, final)
        if moved and self._full_sync:
            disk_files.sync_directories(final)
            # The quarantine is a directory deeper, and may be new.
            sync(final.parents[2])
        return moved


def _page(directory: Path, place: Place, after: str, limit: int) -> list[PlacedBlob]:
    """Return the next files. A page looks at every name, but keeps no more than `limit` of them."""
    last_did, _, last_name = after.partition("/")
    found: list[PlacedBlob] = []
    dids = _next_dids(directory, last_did, limit)
    while dids:
        for did in dids:
            wanted = limit - len(found)
            names = _next_names(directory / did, last_name if did == last_did else "", wanted)
            for name in names:
                # One that was deleted since stays listed, for only the last page may be empty.
                size = 0
                with suppress(OSError):
                    size = (directory / did / name).stat().st_size
                found.append(PlacedBlob(place, did, name, size))
            if len(found) == limit:
                return found
        dids = [did for did in _next_dids(directory, dids[-1], limit + 1) if did != dids[-1]]
    return found


def _next_dids(directory: Path, first: str, limit: int) -> list[str]:
    """Return at most `limit` accounts, beginning with `first`, in the order of cursors."""
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        # A name goes on with a slash, which comes after a dot: did:web:a.b before did:web:a.
        names = (f"{entry.name}/" for entry in entries if is_did_name(entry.name))
        return [name[:-1] for name in nsmallest(limit, (n for n in names if n >= f"{first}/"))]
    return []


def _next_names(directory: Path, beyond: str, limit: int) -> list[str]:
    """Return at most `limit` names of files, in order. Hidden files are what crashes have left."""
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(directory) as entries:
        return nsmallest(
            limit,
            (
                entry.name
                for entry in entries
                if entry.name > beyond and not entry.name.startswith(".") and _is_file(entry)
            ),
        )
    return []


def _is_file(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_file()
    except OSError:  # Such as a link that leads to itself.
        return False


def _find_size(path: Path) -> int | None:
    with suppress(FileNotFoundError):
        return path.stat().st_size
    return None
