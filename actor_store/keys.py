"""Signing keys of actors, in files of 32 raw bytes each, and reserved keys."""

from __future__ import annotations

import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from cachetools import LRUCache

from actor_store.errors import (
    ActorStoreDamaged,
    RepoNotFound,
    SigningKeyUnusable,
    TooManyReservedKeys,
)
from actor_store.layout import ActorLayout
from database.errors import OUT_OF_FILES
from database.files import replacing, sync
from repo.keys import InvalidKey, K256PrivateKey, PrivateKey

_CACHED_KEYS: Final = 50_000
MAX_RESERVED_KEYS: Final = 1_000
"""Limit of reserved keys: anyone may request one, so a stranger could fill the disk."""
RESERVATION_S: Final = 7 * 24 * 60 * 60
"""Minimum lifetime of a reservation unless keys are scarce; moving an account takes days."""
SURE_S: Final = 60 * 60
"""Guaranteed lifetime of a holder's only reserved key, however many holders there are."""


class SigningKeys:
    """Signing keys, with a cache of the last used ones, and reserved keys."""

    def __init__(self, layout: ActorLayout) -> None:
        self._layout = layout
        self._cache: LRUCache[str, PrivateKey] = LRUCache(_CACHED_KEYS)
        self._reserving = threading.Lock()
        self._holders: dict[str, str] = {}
        """Who requested which reserved key, as far as this process has seen."""

    def get(self, did: str) -> PrivateKey:
        """Return the key that signs the repo. Raises `RepoNotFound`, or `SigningKeyUnusable`."""
        try:
            return self._cache[did]
        except KeyError:
            pass
        path = self._layout.key(did)
        try:
            key = K256PrivateKey.from_bytes(path.read_bytes())
        except FileNotFoundError as exc:
            if path.parent.exists():
                raise SigningKeyUnusable(did, f"{path} is missing") from exc
            raise RepoNotFound(did) from exc
        except (OSError, InvalidKey) as exc:
            _raise_if_out_of_files(exc)
            raise SigningKeyUnusable(did, f"{path}: {exc}") from exc
        self._cache[did] = key
        return key

    def forget(self, did: str) -> None:
        """Remove a deleted actor's key from memory."""
        self._cache.pop(did, None)

    def replace(self, did: str, key: PrivateKey) -> None:
        """Replace an actor's signing key. Waits for the disk, so call it in a thread."""
        write_key(self._layout.key(did), key)
        self._cache[did] = key

    def reserve(self, did: str | None = None, *, holder: str | None = None) -> PrivateKey:
        """Generate a key for a future actor, and store it under its did:key.

        With a DID, the key is stored under that, and a second call returns the same key. `holder`
        is the requester whose share is counted. When `MAX_RESERVED_KEYS` are stored, keys older
        than `RESERVATION_S` make room; else the oldest key of the holder with the most, so that
        nobody can displace others by asking often; if each holder has one, the oldest of all, if
        it is older than `SURE_S`. Waits for the disk, so call it in a thread. Raises
        `InvalidStoreName` or `TooManyReservedKeys`.
        """
        # Concurrent calls for one DID must not write two keys, one of which would be lost.
        with self._reserving:
            found = None if did is None else self.find_reserved(did)
            if found is not None:
                return found
            key = K256PrivateKey.generate()
            path = self._layout.reserved_key(did or key.did_key)
            if not path.parent.exists():
                path.parent.mkdir(parents=True)
                sync(path.parent.parent)
            self._make_room(path.parent)
            write_key(path, key)
            if holder is not None:
                self._holders[path.name] = holder
            return key

    def find_reserved(self, name: str) -> PrivateKey | None:
        """Return the key reserved under a DID or did:key, or None."""
        try:
            return K256PrivateKey.from_bytes(self._layout.reserved_key(name).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, InvalidKey) as exc:
            _raise_if_out_of_files(exc)
            raise ActorStoreDamaged(name, f"reserved key: {exc}") from exc

    def release(self, name: str) -> None:
        """Delete a reserved key after an actor has taken it; a missing one is ignored."""
        self._layout.reserved_key(name).unlink(missing_ok=True)
        self._holders.pop(name, None)

    def _make_room(self, directory: Path) -> None:
        """Delete reserved keys if there are too many. Raises `TooManyReservedKeys`."""
        times_s = dict(_reservations(directory))
        if len(times_s) < MAX_RESERVED_KEYS:
            return
        now_s = time.time()
        names = [name for name, then_s in times_s.items() if then_s < now_s - RESERVATION_S]
        if not names:
            self._holders = {n: holder for n, holder in self._holders.items() if n in times_s}
            name = self._oldest_of_most(times_s)
            if name is None:
                name = min(times_s, key=times_s.__getitem__)
                if times_s[name] > now_s - SURE_S:
                    raise TooManyReservedKeys
            names = [name]
        for name in names:
            self.release(name)

    def _oldest_of_most(self, times_s: dict[str, float]) -> str | None:
        """Return the oldest key of the holder with the most keys; None if each has only one."""
        [(holder, count)] = Counter(self._holders.values()).most_common(1) or [("", 0)]
        if count <= 1:
            return None
        held = (name for name, other in self._holders.items() if other == holder)
        return min(held, key=times_s.__getitem__)


def _raise_if_out_of_files(exc: Exception) -> None:
    """Raise `exc` if the cause is not the file itself but too many open files."""
    if isinstance(exc, OSError) and exc.errno in OUT_OF_FILES:
        raise exc


def _reservations(directory: Path) -> Iterator[tuple[str, float]]:
    """Yield the name of each reserved key, and its time of reservation in Unix seconds."""
    for entry in os.scandir(directory):
        # A key just taken by an actor is gone; one that is being written has no name yet.
        with suppress(FileNotFoundError):
            if not entry.name.startswith("."):
                yield entry.name, entry.stat().st_mtime


def write_key(path: Path, key: PrivateKey) -> None:
    """Write a key file durably and atomically, readable only by its owner."""
    with replacing(path, mode=0o600) as file:
        file.write(key.export())
