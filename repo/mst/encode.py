"""Writing the DAG-CBOR block of a node.

A block is `{"l": link, "e": [{"p", "k", "v", "t"}, …]}`: `p` bytes of each key are shared with
the previous key and `k` is the rest, `v` links the record, `t` the subtree right of the key,
`l` the subtree left of all keys. Canonical order is `e`, `l`, and `k`, `p`, `t`, `v`.

The shape is fixed, so blocks are joined from parts: an edit encodes at most two keys of a node,
and no entry is built as a map first. The tests compare the bytes with those of two codecs.

Spec: https://atproto.com/specs/repository#mst-structure
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Final

from repo.mst.key import shared_prefix

_UNSIGNED: Final = 0x00
_BYTES: Final = 0x40
_LIST: Final = 0x80
_NULL: Final = b"\xf6"
# Tag 42, the head of a 37-byte string, and its first byte, zero. The binary CID follows.
_LINK: Final = b"\xd8\x2a\x58\x25\x00"
_VALUE: Final = b"av" + _LINK


def entry_head(before: bytes, key: bytes) -> bytes:
    """Encode the part of an entry that holds its key; `before` is the previous key, or empty."""
    shared = shared_prefix(before, key)
    rest = key[shared:]
    return b"\xa4ak%b%bap%bat" % (_number(_BYTES, len(rest)), rest, _number(_UNSIGNED, shared))


def entry_heads(keys: Iterable[bytes]) -> tuple[bytes, ...]:
    """Return `entry_head` of every key of a node."""
    return tuple([entry_head(before, key) for before, key in pairwise((b"", *keys))])


def encode_entries(
    heads: tuple[bytes, ...], values: tuple[bytes, ...], links: Sequence[bytes | None]
) -> bytes:
    """Encode a node as its canonical block. `values` and `links` are 36-byte binary CIDs."""
    parts = [b"\xa2ae", _number(_LIST, len(heads))]
    left, *others = links
    for head, value, link in zip(heads, values, others, strict=True):
        if link is None:
            parts += (head, _NULL, _VALUE, value)
        else:
            parts += (head, _LINK, link, _VALUE, value)
    parts += (b"al", _NULL) if left is None else (b"al", _LINK, left)
    return b"".join(parts)


def _number(kind: int, number: int) -> bytes:
    """Encode a CBOR head: a major type and a number, in the fewest bytes."""
    if number < 24:
        return bytes((kind | number,))
    if number < 0x100:
        return bytes((kind | 24, number))
    if number < 0x10000:
        return bytes((kind | 25, *number.to_bytes(2, "big")))
    return bytes((kind | 26, *number.to_bytes(4, "big")))
