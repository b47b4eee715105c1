"""Odd records: blocks that no client may write, and that repositories hold nevertheless."""

from __future__ import annotations

import struct
from typing import Any, Final

import cbor2
from hypothesis import strategies as st

from repo.record import has_node_form

NOTE: Final = "com.example.note"
_TYPE: Final = b"\x65$type\x70com.example.note"


def odd(value: bytes) -> bytes:
    """The record `{"a": …, "$type": NOTE}` with CBOR as the value."""
    return b"\xa2\x61a" + value + _TYPE


def deep(depth: int) -> bytes:
    """A record in which lists nest."""
    return odd(b"\x81" * depth + b"\x00")


SHOWN: Final[dict[str, tuple[bytes, Any]]] = {
    "a float": (odd(b"\xfb" + struct.pack(">d", 1.5)), 1.5),
    "a float of 32 bits": (odd(b"\xfa" + struct.pack(">f", 1.5)), 1.5),
    "a float that is whole": (odd(b"\xfb" + struct.pack(">d", 2)), 2),
    "no number": (odd(b"\xf9\x7e\x00"), None),
    "2^53": (odd(b"\x1b" + struct.pack(">Q", 2**53)), 2**53),
    "2^64 - 1": (odd(b"\x1b" + b"\xff" * 8), 2**64 - 1),
    "a link of version 0": (
        odd(b"\xd8\x2a\x58\x23\x00\x12\x20" + b"a" * 32),
        {"$link": "QmUtnNzMAW8vHc8RgQMBMbt5azBtG7ypAEGtfWM2kRg1Ma"},
    ),
    "undefined": (odd(b"\xf7"), None),
    "half a surrogate pair": (odd(b"\x63\xed\xa0\x80"), "\ufffd" * 3),
    "text that is no UTF-8": (odd(b"\x62\xc3("), "\ufffd("),
    "a number longer than need be": (odd(b"\x18\x01"), 1),
    "keys out of order": (b"\xa2" + _TYPE + b"\x61a\x07", 7),
    "a key twice": (b"\xa3\x61a\x00\x61a\x01" + _TYPE, 1),
    "no length": (b"\xbf\x61a\x00" + _TYPE + b"\xff", 0),
    "something behind it": (odd(b"\x05") + b"\x00", 5),
}
"""By what is odd: the block, and what `a` is in JSON."""

NOT_SHOWN: Final[dict[str, bytes]] = {
    "-2^64": odd(b"\x3b" + b"\xff" * 8),
    "a tag": odd(b"\xc1\x00"),
    "a simple value": odd(b"\xf8\x50"),
    "a depth of 1,000": deep(1_000),
    "a depth of 100,000": deep(100_000),
    "a number as a key": b"\xa2\x01\x02" + _TYPE,
    "bytes as a key": b"\xa2\x41a\x02" + _TYPE,
    "a list": b"\x81\x01",
    "text": b"\x61x",
    "null": b"\xf6",
    "nothing": b"",
    "no CBOR": b"\xff",
    "more than there is": b"\xa1\x61a\x9a\x3b\x9a\xca\x00",
    "a link to nothing": odd(b"\xd8\x2a\x41\x00"),
}
"""What JSON cannot show, by what is odd."""

ODD: Final[dict[str, bytes]] = {name: block for name, (block, _) in SHOWN.items()} | NOT_SHOWN

_leaves = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**64), 2**64 - 1),
    st.floats(),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.binary(max_size=40),
    st.just(cbor2.undefined),
    st.binary(max_size=40).map(lambda raw: cbor2.CBORTag(42, b"\x00" + raw)),
    st.builds(cbor2.CBORTag, st.integers(0, 300), st.integers()),
    st.integers(0, 19).map(cbor2.CBORSimpleValue),
)
_keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=5) | st.integers() | st.binary()
_values = st.recursive(
    _leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_keys, inner, max_size=4),
    max_leaves=12,
)
_maps = st.dictionaries(_keys, _values, max_size=4).map(cbor2.dumps)


@st.composite
def _damaged(draw: st.DrawFn) -> bytes:
    block = bytearray(draw(_maps))
    at = draw(st.integers(0, len(block) - 1))
    block[at] = draw(st.integers(0, 255))
    return bytes(block)


any_blocks = st.one_of(_maps, _values.map(cbor2.dumps), _damaged(), st.binary(max_size=60)).filter(
    lambda block: not has_node_form(block)
)
"""Any bytes at all, most of them CBOR of any kind."""
