"""Parts of uploads as files, and putting them together. All functions wait for the disk.

::

    <upload>/part-<number>-<etag>    a part that has arrived
    <upload>/incoming-<random>       one that is arriving
    <upload>/joining                 parts being put together
    <upload>/data                    all of them
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from actor_store.blob_store.base import BlobStoreUnavailable
from actor_store.blob_store.disk_files import blob_store_full, sync_directories
from database.files import no_space_as
from pds.hold.oci.digest import digest_of
from pds.hold.oci.errors import MissingParts
from pds.hold.oci.storage import Joined, Part

DATA: Final = "data"
_JOINING: Final = "joining"
_BYTES: Final = 1024 * 1024


def incoming_path(upload: Path) -> Path:
    """Return a new name for a part that is about to arrive."""
    return upload / f"incoming-{secrets.token_hex(8)}"


def add_part(upload: Path, number: int, incoming: Path, etag: str) -> None:
    """Give a complete file its name as a part, in place of earlier ones of the number."""
    target = _part_path(upload, number, etag)
    earlier = [path for path in upload.glob(f"part-{number}-*") if path != target]
    incoming.replace(target)
    for path in earlier:
        path.unlink(missing_ok=True)


def join(
    upload: Path, parts: Sequence[Part], *, stopped: threading.Event, full_sync: bool
) -> Joined:
    """Make one file of the parts, hashing it. Raises `MissingParts` and `BlobStoreFull`.

    The parts are deleted once all of them are in that file. Raises `BlobStoreUnavailable` once
    `stopped` is set.
    """
    data = upload / DATA
    with suppress(FileNotFoundError):
        # An earlier call has got this far, and its caller did not hear of it.
        return _read_all([data], stopped)
    paths = [_part_path(upload, part.number, part.etag) for part in parts]
    missing = [part.number for part, path in zip(parts, paths, strict=True) if not path.exists()]
    if missing:
        raise MissingParts(missing)
    joining = upload / _JOINING
    if len(paths) == 1:
        joined = _read_all(paths, stopped)
        paths[0].replace(data)
    else:
        try:
            with no_space_as(blob_store_full), joining.open("wb") as target:
                joined = _read_all(paths, stopped, target)
                if full_sync:
                    target.flush()
                    os.fsync(target.fileno())
            joining.replace(data)
        except BaseException:
            joining.unlink(missing_ok=True)
            raise
    if full_sync:
        sync_directories(data)
    for path in upload.glob("part-*"):
        path.unlink(missing_ok=True)
    return joined


def remove_upload(upload: Path) -> None:
    """Delete the directory of an upload; a missing one is ignored.

    It stays if a part begins to arrive meanwhile, which is deleted when it has arrived.
    """
    with suppress(FileNotFoundError):
        for path in upload.iterdir():
            path.unlink(missing_ok=True)
        try:
            upload.rmdir()
        except OSError as exc:
            if exc.errno != errno.ENOTEMPTY:
                raise


def _read_all(
    paths: Sequence[Path], stopped: threading.Event, target: BinaryIO | None = None
) -> Joined:
    """Read files one after the other, hashing them, and copy them to `target` if there is one."""
    sha256 = hashlib.sha256()
    size = 0
    buffer = bytearray(_BYTES)
    view = memoryview(buffer)
    for path in paths:
        with path.open("rb", buffering=0) as source:
            while count := source.readinto(buffer):
                if stopped.is_set():
                    raise BlobStoreUnavailable("the server is stopping")
                piece = view[:count]
                sha256.update(piece)
                if target is not None:
                    target.write(piece)
                size += count
    return Joined(size, digest_of(sha256.digest()))


def _part_path(upload: Path, number: int, etag: str) -> Path:
    # The ETag of a client is no name of a file unless it looks like one of ours.
    name = etag.strip('"')
    safe = name if name.isalnum() and name.isascii() and len(name) <= _MAX_ETAG else "none"
    return upload / f"part-{number}-{safe}"


_MAX_ETAG: Final = 64
"""That of a SHA-256 in hex, which is what this server gives."""
