"""Parts of uploads as files, and putting them together. All functions wait for the disk.

::

    <upload>/part-<number>-<etag>    a part that has arrived
    <upload>/incoming-<random>       one that is arriving
    <upload>/chosen                  the names of those that make the upload, a line each
    <upload>/joining                 these, being put together
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
from database.files import no_space_as, replacing
from pds.hold.oci.digest import Digest, digest_of
from pds.hold.oci.errors import MissingParts, UploadNotFound
from pds.hold.oci.storage import Part

DATA: Final = "data"
_CHOSEN: Final = "chosen"
_JOINING: Final = "joining"
_BYTES: Final = 1024 * 1024
_MAX_ETAG: Final = 64
"""That of a SHA-256 in hex, which is what this server gives."""


def incoming_path(upload: Path) -> Path:
    """Return a new name for a part that is about to arrive."""
    return upload / f"incoming-{secrets.token_hex(8)}"


def add_part(upload: Path, number: int, incoming: Path, etag: str) -> None:
    """Give a complete file its name as a part, in place of earlier ones of the number.

    Raises `UploadNotFound` once the parts have been chosen.
    """
    if (upload / _CHOSEN).exists():
        raise UploadNotFound
    target = _part_path(upload, number, etag)
    earlier = [path for path in upload.glob(f"part-{number}-*") if path != target]
    incoming.replace(target)
    for path in earlier:
        path.unlink(missing_ok=True)


def choose(upload: Path, parts: Sequence[Part]) -> int:
    """Note which parts make the upload, in their order; return the size of all, in bytes.

    No part is added after that. Raises `MissingParts`, and `BlobStoreFull`.
    """
    size, missing = 0, []
    paths = [_part_path(upload, part.number, part.etag) for part in parts]
    for part, path in zip(parts, paths, strict=True):
        try:
            size += path.stat().st_size
        except FileNotFoundError:
            missing.append(part.number)
    if missing:
        raise MissingParts(missing)
    try:
        with no_space_as(blob_store_full), replacing(upload / _CHOSEN) as file:
            file.write("".join(f"{path.name}\n" for path in paths).encode())
    except FileNotFoundError as exc:
        raise UploadNotFound from exc
    return size


def join(upload: Path, *, stopped: threading.Event, full_sync: bool) -> Digest:
    """Make one file of the parts that were chosen, and return the digest of its bytes.

    The parts are deleted once all of them are in that file. Raises `UploadNotFound`,
    `BlobStoreFull`, and `BlobStoreUnavailable` once `stopped` is set.
    """
    data = upload / DATA
    with suppress(FileNotFoundError):
        # An earlier call has got this far, before a crash.
        return _read_all([data], stopped)
    try:
        paths = [upload / name for name in (upload / _CHOSEN).read_text().splitlines()]
        digest = _make_one(upload, paths, stopped, full_sync=full_sync)
    except FileNotFoundError as exc:
        # Somebody has deleted its files.
        raise UploadNotFound from exc
    for path in upload.glob("part-*"):
        path.unlink(missing_ok=True)
    return digest


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


def _make_one(
    upload: Path, paths: Sequence[Path], stopped: threading.Event, *, full_sync: bool
) -> Digest:
    data, joining = upload / DATA, upload / _JOINING
    if len(paths) == 1:
        digest = _read_all(paths, stopped)
        paths[0].replace(data)
    else:
        try:
            with no_space_as(blob_store_full), joining.open("wb") as target:
                digest = _read_all(paths, stopped, target)
                if full_sync:
                    target.flush()
                    os.fsync(target.fileno())
            joining.replace(data)
        except BaseException:
            joining.unlink(missing_ok=True)
            raise
    if full_sync:
        sync_directories(data)
    return digest


def _read_all(
    paths: Sequence[Path], stopped: threading.Event, target: BinaryIO | None = None
) -> Digest:
    """Read files one after the other, hashing them, and copy them to `target` if there is one."""
    sha256 = hashlib.sha256()
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
    return digest_of(sha256.digest())


def _part_path(upload: Path, number: int, etag: str) -> Path:
    # The ETag of a client is no name of a file unless it looks like one of ours.
    name = etag.strip('"')
    safe = name if name.isalnum() and name.isascii() and len(name) <= _MAX_ETAG else "none"
    return upload / f"part-{number}-{safe}"
