"""Signing keys of actors: one file of 32 raw bytes each, and those reserved for later."""

from __future__ import annotations

import os
import secrets
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from cachetools import LRUCache

from actor_store.errors import ActorStoreDamaged, RepoNotFound, TooManyReservedKeys
from actor_store.layout import ActorLayout
from database.errors import OUT_OF_FILES
from repo.keys import InvalidKey, K256PrivateKey, PrivateKey

DEFAULT_CACHED_KEYS: Final = 50_000
MAX_RESERVED_KEYS: Final = 1_000
"""Keys kept for actors to come: anyone may ask for one, so a stranger could fill the disk."""
RESERVATION_S: Final = 7 * 24 * 60 * 60
"""How long a reserved key is sure of its place; moving an account takes hours, at most days."""


class SigningKeys:
    """Reads signing keys and remembers those used last; keeps reserved keys."""

    def __init__(self, layout: ActorLayout, *, max_cached: int = DEFAULT_CACHED_KEYS) -> None:
        self._layout = layout
        self._cache: LRUCache[str, PrivateKey] = LRUCache(max_cached)
        self._reserving = threading.Lock()

    def get(self, did: str) -> PrivateKey:
        """The key that signs the repo. Raises `RepoNotFound`, or `ActorStoreDamaged` for no key."""
        try:
            return self._cache[did]
        except KeyError:
            pass
        path = self._layout.key(did)
        try:
            key = K256PrivateKey.from_bytes(path.read_bytes())
        except FileNotFoundError as exc:
            if path.parent.exists():
                raise ActorStoreDamaged(did, f"{path} is missing: restore it") from exc
            raise RepoNotFound(did) from exc
        except (OSError, InvalidKey) as exc:
            _raise_if_out_of_files(exc)
            raise ActorStoreDamaged(did, f"{path}: {exc}") from exc
        self._cache[did] = key
        return key

    def forget(self, did: str) -> None:
        """Drop a key from memory: its actor is gone."""
        self._cache.pop(did, None)

    def reserve(self, did: str | None = None) -> PrivateKey:
        """Make a key to be used by an actor that comes later, and keep it under its did:key.

        With a DID it is kept under that, and a second call returns the same key. When
        `MAX_RESERVED_KEYS` are kept, those older than `RESERVATION_S` make room. Waits for the
        disk: to be called in a thread. Raises `InvalidStoreName` or `TooManyReservedKeys`.
        """
        # Two calls at once for one DID must not write two keys, of which one is lost.
        with self._reserving:
            found = None if did is None else self.find_reserved(did)
            if found is not None:
                return found
            key = K256PrivateKey.generate()
            path = self._layout.reserved_key(did or key.did_key)
            path.parent.mkdir(parents=True, exist_ok=True)
            _make_room(path.parent)
            write_key(path, key)
            return key

    def find_reserved(self, name: str) -> PrivateKey | None:
        """The key reserved under a DID or did:key, or None."""
        try:
            return K256PrivateKey.from_bytes(self._layout.reserved_key(name).read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, InvalidKey) as exc:
            _raise_if_out_of_files(exc)
            raise ActorStoreDamaged(name, f"reserved key: {exc}") from exc

    def release(self, name: str) -> None:
        """Delete a reserved key, now that an actor has it; an absent one is ignored."""
        self._layout.reserved_key(name).unlink(missing_ok=True)


def _raise_if_out_of_files(exc: Exception) -> None:
    """Raise `exc` if it says nothing about the file: there were too many others."""
    if isinstance(exc, OSError) and exc.errno in OUT_OF_FILES:
        raise exc


def _make_room(directory: Path) -> None:
    files = list(directory.iterdir())
    if len(files) < MAX_RESERVED_KEYS:
        return
    oldest_s = time.time() - RESERVATION_S
    deleted = 0
    for file in files:
        # One that an actor gets just now is gone.
        with suppress(FileNotFoundError):
            if file.stat().st_mtime < oldest_s:
                file.unlink()
                deleted += 1
    if not deleted:
        raise TooManyReservedKeys


def write_key(path: Path, key: PrivateKey) -> None:
    """Write a key file that only its owner may read, durably and all at once."""
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(key.export())
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
