"""Names of blobs' bytes: whatever becomes part of a path or an object key is checked first."""

from __future__ import annotations

import re
from typing import Final

from actor_store.blob_store.base import InvalidBlobName

_DID: Final = re.compile(r"did:[a-z]{1,32}:[A-Za-z0-9._:%-]{1,2000}", re.ASCII)
_TEMP_KEY: Final = re.compile(r"[a-z2-7]{52}", re.ASCII)


def is_did(text: str) -> bool:
    """Whether a directory of this name holds the bytes of an account."""
    return _DID.fullmatch(text) is not None


def is_temp_key(text: str) -> bool:
    """Whether temporary bytes may have this name: see `new_temp_key`."""
    return _TEMP_KEY.fullmatch(text) is not None


def checked_did(did: str) -> str:
    """Return `did`; it must not contain a separator or begin with a dot, else `InvalidBlobName`."""
    if not is_did(did):
        raise InvalidBlobName(f"not a DID that can name a directory: {did[:80]!r}")
    return did


def checked_temp_key(key: str) -> str:
    """Return `key`. Raises `InvalidBlobName` if it is not one of `new_temp_key`."""
    if not is_temp_key(key):
        raise InvalidBlobName(f"not a temporary blob key: {key[:80]!r}")
    return key
