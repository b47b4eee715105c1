"""MST keys: their syntax, their layers and their shared prefixes.

Keys are `<collection>/<rkey>` in ASCII; inside this package they are bytes, whose order is the
tree's order.

Spec: https://atproto.com/specs/repository#mst-structure
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from repo.mst.errors import InvalidMst

MAX_KEY_BYTES: Final = 1024

_FIRST_BYTE: Final = tuple((8 - byte.bit_length()) >> 1 for byte in range(256))
"""The number of leading zero bit pairs of each byte."""
_is_key: Final = re.compile(rb"[A-Za-z0-9_~.:-]+/[A-Za-z0-9_~.:-]+").fullmatch


def encode_key(key: str) -> bytes:
    """Check `key` and return its bytes. Raises `InvalidMst`."""
    try:
        raw = key.encode("ascii")
    except UnicodeEncodeError as exc:
        raise InvalidMst(f"key is not ASCII: {key[:80]!r}") from exc
    check_key(raw)
    return raw


def check_key(raw: bytes) -> None:
    """Raise `InvalidMst` unless `raw` is `<collection>/<rkey>` in allowed characters."""
    if len(raw) > MAX_KEY_BYTES or _is_key(raw) is None:
        raise InvalidMst(f"not an MST key: {raw[:80]!r}")


def key_height(raw: bytes) -> int:
    """Return the layer of a key: the leading zero bit pairs of its SHA-256, 0 to 128."""
    digest = hashlib.sha256(raw).digest()
    if digest[0]:
        return _FIRST_BYTE[digest[0]]
    return (256 - int.from_bytes(digest, "big").bit_length()) >> 1


def shared_prefix(a: bytes, b: bytes) -> int:
    """Return the number of leading bytes that `a` and `b` have in common."""
    size = min(len(a), len(b))
    # One big XOR beats a loop over bytes; its highest set bit is in the first byte that differs.
    differing = int.from_bytes(a[:size], "big") ^ int.from_bytes(b[:size], "big")
    return size - ((differing.bit_length() + 7) >> 3)
