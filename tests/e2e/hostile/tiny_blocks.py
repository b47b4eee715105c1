"""Hundreds of thousands of tiny blocks that are in no tree, as a CAR has them."""

from __future__ import annotations

import hashlib
import struct
from typing import Final

_CID_START: Final = b"\x01\x71\x12\x20"
_LINKS: Final = 20_000
"""In a node: of nearly a megabyte."""


def tiny_blocks(size_bytes: int, *, linked: bool) -> bytes:
    """Blocks of a number each. With `linked` nodes name them all, but nothing names those."""
    parts: list[bytes] = []
    size, number, cids = 0, 0, []
    while size < size_bytes:
        number += 1
        data = b"\x1a" + struct.pack(">I", 0x10000 + number)
        cid = _CID_START + hashlib.sha256(data).digest()
        parts.append(bytes((len(cid) + len(data),)) + cid + data)
        size += len(parts[-1])
        if linked:
            cids.append(b"\xd8\x2a\x58\x25\x00" + cid)
            size += len(cids[-1])
            if len(cids) == _LINKS:
                parts.append(_node(cids))
                cids = []
    return b"".join((*parts, _node(cids)) if linked else parts)


def _node(links: list[bytes]) -> bytes:
    data = b"\xa2ae" + b"".join(links) + b"al\xf6"
    cid = _CID_START + hashlib.sha256(data).digest()
    length, head = len(cid) + len(data), bytearray()
    while length >= 0x80:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes(head) + bytes((length,)) + cid + data
