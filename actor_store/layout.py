"""Paths of an actor's files; the layout is the reference PDS's.

<actors>/<first 2 hex digits of the DID's SHA-256>/<did>/store.sqlite, key
<actors>/reserved_keys/<did or did:key>
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from stat import S_ISREG
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
        return self.actors_dir.joinpath(*_parts(did))

    def store(self, did: str) -> Path:
        """Return the path of one actor's database."""
        return self.actors_dir.joinpath(*_parts(did), STORE)

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
        return (did for did, store in self.iter_directories() if _may_exist(store))

    def iter_directories(self) -> Iterator[tuple[str, str]]:
        """Yield the DIDs that have a directory, with or without a store, in no particular order.

        With each comes the path of its database, as text: there may be a million, and a `Path`
        takes longer to make than the file to be looked at.
        """
        if not self.actors_dir.is_dir():
            return
        for prefix in self.actors_dir.iterdir():
            if _is_prefix(prefix.name) is not None:
                for name in os.listdir(prefix):  # noqa: PTH208 (see above)
                    if is_name(name) and _prefix_of(name) == prefix.name:
                        yield name, f"{prefix}/{name}/{STORE}"


def _prefix_of(did: str) -> str:
    return hashlib.sha256(did.encode()).hexdigest()[:2]


def _may_exist(store: str) -> bool:
    try:
        return S_ISREG(os.stat(store).st_mode)  # noqa: PTH116 (half the time of `Path.stat`)
    except FileNotFoundError:
        return False
    except PermissionError:
        return True


def _parts(did: str) -> tuple[str, str]:
    return _prefix_of(did), _check_name(did)


def _check_name(name: str) -> str:
    if len(name) > MAX_NAME_BYTES or is_name(name) is None:
        raise InvalidStoreName(name)
    return name
