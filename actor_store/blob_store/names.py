"""What may become part of a blob's path or key: DIDs and temporary keys, nothing else."""

from __future__ import annotations

import re
from typing import Final

from actor_store.blob_store.base import InvalidBlobName

_DID: Final = re.compile(r"did:[a-z]{1,32}:[A-Za-z0-9._:%-]{1,2000}", re.ASCII)
_TEMP_KEY: Final = re.compile(r"[a-z2-7]{52}", re.ASCII)


def is_did_name(name: str) -> bool:
    """Whether the name is that of an account's directory."""
    return _DID.fullmatch(name) is not None


def is_temp_key(name: str) -> bool:
    """Whether the name is a key of temporary bytes."""
    return _TEMP_KEY.fullmatch(name) is not None


def checked_did(did: str) -> str:
    """Return `did`; it must not contain a separator or begin with a dot, else `InvalidBlobName`."""
    if not is_did_name(did):
        raise InvalidBlobName(f"not a DID that can name a directory: {did[:80]!r}")
    return did


def checked_temp_key(key: str) -> str:
    """Return `key`. Raises `InvalidBlobName`."""
    if not is_temp_key(key):
        raise InvalidBlobName(f"not a temporary blob key: {key[:80]!r}")
    return key
