"""A DAG-CBOR codec in pure Python for large values, for threads beside an event loop.

cbor2 is ten times as fast but holds the GIL until it is done: a megabyte of empty maps stops
every other thread for most of a second. Here other threads can run between any two items. The
output is the same to the byte. `json_of` converts without building the value, which might take a
hundred megabytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import orjson

from repo.cid import Cid, InvalidCid
from repo.dagcbor import MAX_DEPTH, MAX_INT, InvalidDagCbor, Value
from repo.datamodel import json_default

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _LIST, _MAP, _TAG, _SIMPLE = range(8)
_INTEGERS: Final = (_UNSIGNED, _NEGATIVE)
_CONTAINERS: Final = (_LIST, _MAP)
_CONSTANTS: Final = {0xF4: False, 0xF5: True, 0xF6: None}
_LINK_START: Final = b"\xd8\x2a"
_LEAST_OF_LENGTH: Final = {1: 24, 2: 1 << 8, 4: 1 << 16, 8: 1 << 32}
"""The smallest number allowed for each length in bytes; a smaller one has a shorter form."""


def decode(block: bytes) -> Value:
    """Decode canonical bytes, like `dagcbor.decode`. Raises `InvalidDagCbor`."""
    return _Reader(block).value()


def json_of(block: bytes) -> bytes:
    """Convert canonical bytes to JSON, as orjson writes it. Raises `InvalidDagCbor`."""
    return _Reader(block).json()


def encode(value: Value) -> bytes:
    """Encode a value that belongs to the data model, like `dagcbor.encode_checked`."""
    out = bytearray()
    # An explicit stack: the rest of each open container.
    stack: list[Iterator[Any]] = [iter((value,))]
    while stack:
        for item in stack[-1]:
            kind = type(item)
            if kind is list:
                out += _head(_LIST, len(item))
                stack.append(iter(item))
                break
            if kind is dict:
                out += _head(_MAP, len(item))
                stack.append(_iter_map(item))
                break
            out += _encode_leaf(item, kind)
        else:
            stack.pop()
    return bytes(out)


def _iter_map(value: dict[str, Value]) -> Iterator[Value]:
    # Canonical order: shorter keys first, then by bytes.
    for key in sorted(value, key=_key_order):
        yield key
        yield value[key]


def _key_order(key: str) -> tuple[int, bytes]:
    raw = _utf8(key)
    return len(raw), raw


def _encode_leaf(item: Any, kind: type) -> bytes:
    if kind is str:
        raw = _utf8(item)
        return _head(_TEXT, len(raw)) + raw
    if kind is int:
        return _head(_UNSIGNED, item) if item >= 0 else _head(_NEGATIVE, -1 - item)
    if kind is bytes:
        return _head(_BYTES, len(item)) + bytes(item)
    if kind is Cid:
        return _LINK_START + _head(_BYTES, len(item.raw) + 1) + b"\x00" + bytes(item.raw)
    if item is None:
        return b"\xf6"
    if kind is bool:
        return b"\xf5" if item else b"\xf4"
    raise InvalidDagCbor(f"{kind.__name__} has no place in the data model")


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as exc:
        raise InvalidDagCbor("string is not Unicode text") from exc


def _head(major: int, number: int) -> bytes:
    major <<= 5
    if number < 24:
        return _HEADS[major | number]
    for length, extra in ((1, 24), (2, 25), (4, 26), (8, 27)):
        if number < 1 << 8 * length:
            return _HEADS[major | extra] + number.to_bytes(length, "big")
    raise InvalidDagCbor("integer does not fit 64 bits")


_HEADS: Final = tuple(bytes((byte,)) for byte in range(256))


class _Reader:
    """A single pass over one item that refuses anything non-canonical."""

    def __init__(self, block: bytes) -> None:
        self._block = block
        self._at = 0

    def value(self) -> Value:
        outermost: list[Value] = []
        # For each open container: itself, how many children remain, and a map's last key.
        into: Any = outermost
        left, key, last_key = 1, None, None
        stack: list[tuple[Any, int, bytes | None]] = []
        while True:
            while left == 0:
                if not stack:
                    self._expect_end()
                    return outermost[0]
                into, left, last_key = stack.pop()
            left -= 1
            if type(into) is dict:
                last_key, key = self._next_key(last_key)
            head, number = self._next_head()
            major = head >> 5
            item: Any
            if major in _CONTAINERS:
                if len(stack) >= MAX_DEPTH:
                    raise InvalidDagCbor(f"nested deeper than {MAX_DEPTH} levels")
                self._check_count(major, number)
                item = [] if major == _LIST else {}
            else:
                item = self._leaf(head, major, number)
            if type(into) is dict:
                into[key] = item
            else:
                into.append(item)
            if major in _CONTAINERS:
                stack.append((into, left, last_key))
                into, left, last_key = item, number, None

    def json(self) -> bytes:
        out = bytearray()
        # For each open container: how many children remain, and its closing bracket.
        left, end, is_map, last_key = 1, b"", False, None
        stack: list[tuple[int, bytes, bool, bytes | None]] = []
        is_first = True
        while True:
            while left == 0:
                out += end
                if not stack:
                    self._expect_end()
                    return bytes(out)
                left, end, is_map, last_key = stack.pop()
                is_first = False
            left -= 1
            if not is_first:
                out += b","
            is_first = False
            if is_map:
                last_key, key = self._next_key(last_key)
                out += orjson.dumps(key)
                out += b":"
            head, number = self._next_head()
            major = head >> 5
            if major in _CONTAINERS:
                if len(stack) >= MAX_DEPTH:
                    raise InvalidDagCbor(f"nested deeper than {MAX_DEPTH} levels")
                self._check_count(major, number)
                stack.append((left, end, is_map, last_key))
                left, is_map, last_key, is_first = number, major == _MAP, None, True
                end = b"}" if is_map else b"]"
                out += b"{" if is_map else b"["
            else:
                out += orjson.dumps(self._leaf(head, major, number), default=json_default)

    def _next_head(self) -> tuple[int, int]:
        """Read the head of the next item, and the number in or after it."""
        block, at = self._block, self._at
        try:
            head = block[at]
        except IndexError:
            raise _cut_off() from None
        low = head & 0x1F
        if low < 24:
            self._at = at + 1
            return head, low
        if low > 27 or head >= 0xE0:
            raise InvalidDagCbor(f"head {head:#x} has no place in the data model")
        length = 1 << low - 24
        end = at + 1 + length
        raw = block[at + 1 : end]
        if len(raw) != length:
            raise _cut_off()
        number = int.from_bytes(raw, "big")
        if number < _LEAST_OF_LENGTH[length]:
            raise InvalidDagCbor("DAG-CBOR is not in canonical form")
        self._at = end
        return head, number

    def _next_key(self, last: bytes | None) -> tuple[bytes, str]:
        """Read the next key of a map. Return it encoded and as text."""
        start = self._at
        head, number = self._next_head()
        if head >> 5 != _TEXT:
            raise InvalidDagCbor("map keys must be strings")
        key = self._text(number)
        # A head grows with the length of its key, so comparing encoded keys compares keys.
        encoded = self._block[start : self._at]
        if last is not None and encoded <= last:
            raise InvalidDagCbor("DAG-CBOR is not in canonical form")
        return encoded, key

    def _leaf(self, head: int, major: int, number: int) -> Value:
        if major == _TEXT:
            return self._text(number)
        if major in _INTEGERS:
            value = number if major == _UNSIGNED else -1 - number
            if not -MAX_INT <= value <= MAX_INT:
                raise InvalidDagCbor("integer is beyond 2^53 - 1")
            return value
        if major == _BYTES:
            return self._take(number)
        if major == _TAG:
            return self._link(number)
        if head in _CONSTANTS:
            return _CONSTANTS[head]
        raise InvalidDagCbor(f"head {head:#x} has no place in the data model")

    def _link(self, tag: int) -> Cid:
        head, number = self._next_head()
        raw = self._take(number) if head >> 5 == _BYTES else b""
        if tag != 42 or not raw.startswith(b"\x00"):
            raise InvalidDagCbor("CBOR has a tag that is not a link")
        try:
            return Cid.from_bytes(raw[1:])
        except InvalidCid as exc:
            raise InvalidDagCbor(f"malformed DAG-CBOR: {exc}") from exc

    def _text(self, length: int) -> str:
        try:
            return self._take(length).decode()
        except UnicodeDecodeError as exc:
            raise InvalidDagCbor("string is not Unicode text") from exc

    def _take(self, length: int) -> bytes:
        start = self._at
        end = self._at = start + length
        if end > len(self._block):
            raise _cut_off()
        return self._block[start:end]

    def _check_count(self, major: int, number: int) -> None:
        """Refuse a container that claims more children than there are bytes left."""
        if number << (major == _MAP) > len(self._block) - self._at:
            raise _cut_off()

    def _expect_end(self) -> None:
        if self._at != len(self._block):
            raise InvalidDagCbor("malformed DAG-CBOR: more follows the item")


def _cut_off() -> InvalidDagCbor:
    return InvalidDagCbor("malformed DAG-CBOR: cut off")
