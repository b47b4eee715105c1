"""The secret files of a data directory: where they are, what they hold, and their copies' names.

A signing key is copied only if it is one, so that a damaged file never replaces a good copy.
`dev.env` is left out: it has the paths of a development server, whose PLC directory is not
replicated either.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from actor_store.errors import InvalidStoreName
from pds.config.hold.secrets_file import HOLD_ENV
from pds.replication.copies.key_rows import KeyKind
from pds.replication.copies.signature import Signature
from pds.replication.replica import names
from repo.keys import InvalidKey, K256PrivateKey

if TYPE_CHECKING:
    from actor_store.layout import ActorLayout

SECRET_FILES: Final = (HOLD_ENV,)
"""Names in the data directory."""
MAX_FILE_BYTES: Final = 256 * 1024
_NO_DIGEST: Final = b""


class UnusableKeyFile(Exception):
    """A secret file that cannot be read, or does not hold what it should; not copied."""


@dataclass(slots=True, frozen=True)
class KeyContents:
    """A secret file as it was read."""

    data: bytes
    digest: bytes
    """See `KeyRow.digest`."""
    signature: Signature


class KeyFiles:
    """The secret files. All methods wait for the disk."""

    def __init__(self, layout: ActorLayout, data_directory: Path) -> None:
        self._layout = layout
        self._data_directory = data_directory
        self._reserved = layout.actors_dir / "reserved_keys"

    def path(self, kind: KeyKind, name: str) -> Path:
        """Return the path of a file. Raises `InvalidStoreName`."""
        if kind is KeyKind.ACTOR:
            return self._layout.key(name)
        if kind is KeyKind.RESERVED:
            return self._layout.reserved_key(name)
        return self._data_directory / name

    def find_signature(self, kind: KeyKind, name: str) -> Signature | None:
        """Return a file's signature; None if it is missing. Raises `UnusableKeyFile`."""
        path = self.path(kind, name)
        try:
            return Signature.of(path.stat())
        except FileNotFoundError:
            return None
        except OSError as exc:
            raise _unreadable(path, exc) from exc

    def exists(self, kind: KeyKind, name: str) -> bool:
        """Whether a file is there, or may be."""
        try:
            return self.path(kind, name).exists()
        except OSError:
            return True

    def read(self, kind: KeyKind, name: str) -> KeyContents:
        """Read a file. Raises `FileNotFoundError` and `UnusableKeyFile`."""
        path = self.path(kind, name)
        try:
            with path.open("rb") as file:
                signature = Signature.of(os.fstat(file.fileno()))
                data = file.read(MAX_FILE_BYTES + 1)
        except FileNotFoundError:
            raise
        except OSError as exc:
            raise _unreadable(path, exc) from exc
        if not data or len(data) > MAX_FILE_BYTES:
            raise UnusableKeyFile(f"{path} is empty or too large, so it is not copied")
        if kind is KeyKind.FILE:
            return KeyContents(data, _NO_DIGEST, signature)
        try:
            K256PrivateKey.from_bytes(data)
        except InvalidKey as exc:
            raise UnusableKeyFile(
                f"{path} is not a signing key, so the replica keeps the copy that it has, if any: "
                f"`pds doctor` says what to do"
            ) from exc
        return KeyContents(data, hashlib.sha256(data).digest(), signature)

    def has_store(self, did: str) -> bool:
        """Whether an actor has a database, or may have one."""
        try:
            return self._layout.store(did).exists()
        except InvalidStoreName:
            return False
        except OSError:
            return True

    def has_actors(self) -> bool:
        """Whether there are directories of actors; not so where a disk is not mounted."""
        with suppress(OSError), os.scandir(self._layout.actors_dir) as entries:
            return any(entry.name != self._reserved.name for entry in entries)
        return False

    def chunks(self, size: int) -> Iterator[list[tuple[str, Signature | None]]]:
        """Yield the actors' DIDs, with the signatures of their keys, some at a time.

        One whose key cannot be looked at has no signature.
        """
        dids = (did for did, _ in self._layout.iter_directories())
        while found := list(islice(dids, size)):
            yield [(did, self._signature(did)) for did in found]

    def list_reserved(self) -> list[str]:
        """Return the names of all reserved keys; their number is bounded."""
        with suppress(FileNotFoundError), os.scandir(self._reserved) as entries:
            return [entry.name for entry in entries if not entry.name.startswith(".")]
        return []

    def reserved_mtime_ns(self) -> int | None:
        """Return when a key was last reserved or released; None if none ever was."""
        with suppress(FileNotFoundError):
            return self._reserved.stat().st_mtime_ns
        return None

    def _signature(self, did: str) -> Signature | None:
        with suppress(UnusableKeyFile):
            return self.find_signature(KeyKind.ACTOR, did)
        return None


def copy_name(kind: KeyKind, name: str) -> str:
    """Return the name of a file's copy in the clear: sealed ones end in `names.SEALED`."""
    if kind is KeyKind.ACTOR:
        return names.actor_key(name)
    if kind is KeyKind.RESERVED:
        return f"{names.RESERVED_KEYS}{names.encode_did(name)}"
    return name


def _unreadable(path: Path, exc: OSError) -> UnusableKeyFile:
    return UnusableKeyFile(
        f"{path} cannot be read ({exc.strerror}): the replicator must run as the server's user"
    )
