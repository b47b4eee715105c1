"""CBOR fragments: pieces of canonical DAG-CBOR that are joined into event bodies and frames.

An event is stored as a map, and sent as the same map with two more entries. So the pieces around
those entries are encoded once and joined twice.
"""

from __future__ import annotations

from typing import Final

from repo.cid import Cid
from repo.dagcbor import InvalidDagCbor

NULL: Final = b"\xf6"
FALSE: Final = b"\xf4"
TRUE: Final = b"\xf5"
EMPTY_ARRAY: Final = b"\x80"

_INTEGER: Final = 0x00
_BYTES: Final = 0x40
_TEXT: Final = 0x60
_ARRAY: Final = 0x80
_MAP: Final = 0xA0
_LINK_START: Final = b"\xd8\x2a"


def integer(number: int) -> bytes:
    """Encode a number from 0 to 2^63 - 1."""
    return _head(_INTEGER, number)


def text(value: str) -> bytes:
    """Encode a string."""
    encoded = value.encode()
    return _head(_TEXT, len(encoded)) + encoded


def byte_string(value: bytes) -> bytes:
    """Encode bytes."""
    return _head(_BYTES, len(value)) + value


def link(cid: Cid) -> bytes:
    """Encode a CID as tag 42 around the binary form with its multibase prefix, a zero byte."""
    return _LINK_START + _head(_BYTES, len(cid.raw) + 1) + b"\x00" + cid.raw


def link_or_null(cid: Cid | None) -> bytes:
    """Encode a CID, or null."""
    return NULL if cid is None else link(cid)


def array_head(length: int) -> bytes:
    """Open an array of `length` items, which follow."""
    return _head(_ARRAY, length)


def map_head(entries: int) -> bytes:
    """Open a map of `entries` keys and values, which follow in canonical order."""
    return _head(_MAP, entries)


def read_map_head(data: bytes) -> tuple[int, int]:
    """Return the number of entries of the map in `data` and where the first one starts."""
    if not data or data[0] & 0xE0 != _MAP:
        raise InvalidDagCbor("event is not a map")
    return _read_head(data, 0)


def read_text(data: bytes, start: int) -> tuple[bytes, int]:
    """Return the UTF-8 of the string at `start`, and the position after it."""
    if start >= len(data) or data[start] & 0xE0 != _TEXT:
        raise InvalidDagCbor("map key is not a string")
    length, begin = _read_head(data, start)
    return data[begin : begin + length], begin + length


def skip(data: bytes, start: int) -> int:
    """Return the position after the item at `start`, of any type."""
    position, items = start, 1
    while items:
        items -= 1
        if position >= len(data):
            raise InvalidDagCbor("event ends inside an item")
        major = data[position] >> 5
        argument, position = _read_head(data, position)
        if major in (2, 3):  # bytes, text
            position += argument
        elif major == 4:  # array
            items += argument
        elif major == 5:  # map
            items += 2 * argument
        elif major == 6:  # tag
            items += 1
    if position > len(data):
        raise InvalidDagCbor("event ends inside an item")
    return position


def _head(major: int, argument: int) -> bytes:
    if argument < 24:
        return bytes((major | argument,))
    if argument < 0x100:
        return bytes((major | 24, argument))
    if argument < 0x10000:
        return bytes((major | 25,)) + argument.to_bytes(2, "big")
    if argument < 0x100000000:
        return bytes((major | 26,)) + argument.to_bytes(4, "big")
    return bytes((major | 27,)) + argument.to_bytes(8, "big")


def _read_head(data: bytes, start: int) -> tuple[int, int]:
    """Return an item's argument (its value, length or count), and the position after it."""
    short = data[start] & 0x1F
    if short < 24:
        return short, start + 1
    if short > 27:
        raise InvalidDagCbor("event has an item of indefinite length")
    end = start + 1 + (1 << (short - 24))
    return int.from_bytes(data[start + 1 : end], "big"), end
