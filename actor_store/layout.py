"""Paths of an actor's files; the layout is the reference PDS's.

<actors>/<first 2 hex digits of the DID's SHA-256>/<did>/store.sqlite, key
<actors>/reserved_keys/<did or did:key>
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from actor_store.errors import InvalidStoreName

MAX_NAME_BYTES: Final = 255
"""Longest file name on the usual file systems."""
STORE: Final = "store.sqlite"
"""Name of an actor's database in the actor's directory."""

_KEY: Final = "key"
_RESERVED_KEYS: Final = "reserved_keys"
is_name: Final = re.compile(r"did:[a-z0-9]+:[A-Za-z0-9._:%-]+").fullmatch
"""Whether a directory is named like an actor's; excludes everything special in paths: slash,
backslash, leading dot."""
_is_prefix: Final = re.compile(r"[0-9a-f]{2}").fullmatch


class ActorLayout:
    """Paths below the directory of all actors. Methods raise `InvalidStoreName`."""

    def __init__(self, actors_dir: Path) -> None:
        self.actors_dir = actors_dir

    def directory(self, did: str) -> Path:
        """Return the directory of one actor."""
        name = _check_name(did)
        return self.actors_dir / hashlib.sha256(did.encode()).hexdigest()[:2] / name

    def store(self, did: str) -> Path:
        """Return the path of one actor's database."""
        return self.directory(did) / STORE

    def find_did(self, store: Path) -> str | None:
        """Return whose database `store` is; None for any other file."""
        did = store.parent.name
        return did if is_name(did) is not None and self.store(did) == store else None

    def key(self, did: str) -> Path:
        """Return the path of one actor's signing key: 32 raw bytes."""
        return self.directory(did) / _KEY

    def reserved_key(self, name: str) -> Path:
        """Return the path of a key reserved for a DID yet to move here, or for anyone (did:key)."""
        return self.actors_dir / _RESERVED_KEYS / _check_name(name)

    def iter_dids(self) -> Iterator[str]:
        """Yield the DIDs that have a store, or an unreadable directory, in no particular order."""
        return (did for did in self.iter_directories() if self._may_have_store(did))

    def iter_directories(self) -> Iterator[str]:
        """Yield the DIDs that have a directory, with or without a store, in no particular order."""
        return (entry.name for entry in self._iter_entries() if is_name(entry.name))

    def _may_have_store(self, did: str) -> bool:
        try:
            return self.store(did).is_file()
        except PermissionError:
            return True

    def _iter_entries(self) -> Iterator[Path]:
        if not self.actors_dir.is_dir():
            return
        for prefix in self.actors_dir.iterdir():
            if _is_prefix(prefix.name) is not None:
                yield from list(prefix.iterdir())


def _check_name(name: str) -> str:
    if len(name) > MAX_NAME_BYTES or is_name(name) is None:
        raise InvalidStoreName(name)
    return name
