"""File operations that the disk blob store runs in threads: move, promote, delete, read."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
from collections.abc import AsyncGenerator, Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

from actor_store.blob_store.base import BlobStoreFull, OpenBlob
from database.files import no_space_as, replacing, sync

_READ_BYTES: Final = 256 * 1024


class OpenFile(OpenBlob):
    """A permanent blob as an open file."""

    def __init__(self, path: Path) -> None:
        """Raises `FileNotFoundError`."""
        self._file = path.open("rb", buffering=0)
        self.path: Path | None = path
        self.size = os.fstat(self._file.fileno()).st_size

    async def __aiter__(self) -> AsyncGenerator[bytes, None]:
        async with self:
            while chunk := await asyncio.to_thread(self._file.read, _READ_BYTES):
                yield chunk

    async def close(self) -> None:
        """Close the file. May be repeated."""
        self._file.close()


def blob_store_full(exc: OSError) -> BlobStoreFull:
    """Return the error for a full disk or quota."""
    return BlobStoreFull(
        f"no space for blobs ({exc.strerror}): free some, or move the blob directory"
    )


def opened_new(path: Path) -> BinaryIO:
    """Open a new file for writing, creating its directory if needed."""
    try:
        return path.open("xb")
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("xb")


def promote(temp: Path, final: Path, *, full_sync: bool) -> bool:
    """Move a temporary file to its permanent name. Return False if neither file exists.

    If the permanent file already exists, the temporary one is deleted.
    """
    if final.exists():
        temp.unlink(missing_ok=True)
        return True
    if full_sync and temp.exists():
        sync(temp)
    if not move(temp, final):
        return final.exists()
    if full_sync:
        sync_directories(final)
    return True


def sync_directories(path: Path) -> None:
    """Sync a file's directory entry, and that of its directory, which may be new as well."""
    sync(path.parent)
    sync(path.parent.parent)


def move(source: Path, target: Path) -> bool:
    """Rename a file, creating the target's directory if needed. Return False without a source.

    Across file systems, the bytes are first copied and synced beside the target, so that the target
    is always complete. Raises `BlobStoreFull`.
    """
    with no_space_as(blob_store_full):
        try:
            _rename(source, target)
        except FileNotFoundError:
            return False
        except OSError as exc:
            if exc.errno != errno.EXDEV:
                raise
            _copy(source, target)
            source.unlink(missing_ok=True)
    return True


def delete(paths: Iterable[Path]) -> None:
    """Delete files; missing ones are ignored."""
    for path in paths:
        path.unlink(missing_ok=True)


def delete_tree(directory: Path) -> None:
    """Delete a directory and its contents; a missing one is ignored."""
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(directory)


def list_names(directory: Path) -> list[str]:
    """List a directory; empty if it is missing."""
    with contextlib.suppress(FileNotFoundError):
        return [path.name for path in directory.iterdir()]
    return []


def list_old(directory: Path, *, before_s: float) -> list[str]:
    """List the files last written before a time in Unix seconds."""
    with contextlib.suppress(FileNotFoundError), os.scandir(directory) as entries:
        return list(_old(entries, before_s))
    return []


def _old(entries: Iterator[os.DirEntry[str]], before_s: float) -> Iterator[str]:
    for entry in entries:
        # A file that became permanent in the meantime is gone.
        with contextlib.suppress(FileNotFoundError):
            if entry.stat(follow_symlinks=False).st_mtime < before_s:
                yield entry.name


def _rename(source: Path, target: Path) -> None:
    try:
        source.replace(target)
    except FileNotFoundError:
        target.parent.mkdir(parents=True, exist_ok=True)
        source.replace(target)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with source.open("rb") as reader, replacing(target) as writer:
        shutil.copyfileobj(reader, writer, _READ_BYTES)
