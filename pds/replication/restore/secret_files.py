"""Signing keys and other secrets: read from the replica, opened, written for their owner only."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from pds.replication.errors import DamagedReplicaFile, ReplicaFileMissing, WrongKeySecret
from pds.replication.replica import names
from pds.replication.restore.target import part_of
from repo.keys import InvalidKey, K256PrivateKey

if TYPE_CHECKING:
    from pds.replication.replica.place import StoredFile
    from pds.replication.restore.patience import PatientReader

_MAX_BYTES: Final = 512 * 1024
_WRONG_AT_FIRST: Final = 3
"""If the first few sealed files do not open, it is the secret that is wrong, not the files."""


class Opener(Protocol):
    """What opens sealed files: see `copies.sealing`."""

    def open(self, data: bytes) -> bytes:
        """Return the contents. Raises `WrongKeySecret`."""
        ...


class SecretFiles:
    """Restores secrets. Methods raise what `ReplicaPlace.read` raises, and `OSError`."""

    def __init__(self, reader: PatientReader, opener: Opener | None) -> None:
        """Without an `opener`, only files in the clear can be restored."""
        self._reader = reader
        self._opener = opener
        self._opened = 0
        self._failed = 0
        self.read_bytes = 0
        """Bytes read from the replica."""

    async def restore(
        self, copies: Sequence[StoredFile], path: Path, *, is_key: bool = True
    ) -> str | None:
        """Restore a file from its newest usable copy; return None, or why there is none.

        A signing key is only restored if it is one. Raises `WrongKeySecret` if it seems that the
        secret opens no file at all.
        """
        reason = "the replica has none"
        for copy in sorted(copies, key=lambda file: file.modified_s, reverse=True):
            try:
                data = await self._read(copy)
                if is_key:
                    K256PrivateKey.from_bytes(data)
            except WrongKeySecret as exc:
                self._failed += 1
                if not self._opened and self._failed >= _WRONG_AT_FIRST:
                    raise
                reason = f"{copy.name}: {exc}"
            except (InvalidKey, DamagedReplicaFile, ReplicaFileMissing) as exc:
                reason = f"{copy.name}: {exc}"
            else:
                await asyncio.to_thread(write_whole, path, data)
                return None
        return reason

    async def _read(self, copy: StoredFile) -> bytes:
        data = await self._reader.read(copy.name, max_bytes=_MAX_BYTES)
        self.read_bytes += len(data)
        if not copy.name.endswith(names.SEALED):
            return data
        if self._opener is None:
            raise WrongKeySecret("it is encrypted, and no passphrase or identity was given")
        data = await asyncio.to_thread(self._opener.open, data)
        self._opened += 1
        return data


def has_key(path: Path) -> bool:
    """Whether a file is there and is a signing key: a power failure may have emptied it."""
    try:
        K256PrivateKey.from_bytes(path.read_bytes())
    except (FileNotFoundError, InvalidKey):
        return False
    return True


def write_whole(path: Path, data: bytes) -> None:
    """Write a file for its owner that appears under its name when it is whole. Raises `OSError`.

    It is not synced: a restore syncs everything at its end.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(path)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    part.replace(path)
