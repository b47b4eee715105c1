"""DAG-CBOR for records, commits and event bodies: exactly one encoding per value.

Uses cbor2, which keeps links and byte strings apart. MST nodes, whose shape is known, go
through libipld in `repo.mst`.

Spec: https://atproto.com/specs/data-model and https://ipld.io/specs/codecs/dag-cbor/spec/
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Never, TypeAlias

import cbor2

from repo.cid import Cid, InvalidCid

Value: TypeAlias = "bool | int | str | bytes | Cid | list[Value] | dict[str, Value] | None"
"""A value of atproto's data model."""

MAX_DEPTH: Final = 128
"""Levels of nested lists and maps; deeper values are refused, never recursed into."""

MAX_INT: Final = 2**53 - 1
"""Largest magnitude of an integer that every implementation can read."""

_LINK_TAG: Final = 42
_MALFORMED: Final = (cbor2.CBORError, ValueError, TypeError, OverflowError, RecursionError)
"""Exceptions that cbor2 raises."""


class InvalidDagCbor(ValueError):
    """The bytes are not canonical DAG-CBOR, or the value has no place in the data model."""


def encode(value: Value) -> bytes:
    """Encode canonically. Raises `InvalidDagCbor` for a value outside the data model."""
    check(value)
    return encode_checked(value)


def encode_checked(value: Value) -> bytes:
    """Encode a value that passed `check`, or was built from parts that did.

    Raises `InvalidDagCbor` for a string with a lone surrogate, which `check` does not detect.
    """
    try:
        return cbor2.dumps(value, canonical=True, default=_encode_link)
    except UnicodeEncodeError as exc:
        raise InvalidDagCbor("string is not Unicode text") from exc


def decode(data: bytes) -> Value:
    """Decode one canonical item. Raises `InvalidDagCbor` if re-encoding gives other bytes."""
    value = decode_trusted(data)
    if encode(value) != data:
        raise InvalidDagCbor("DAG-CBOR is not in canonical form")
    return value


def decode_trusted(data: bytes) -> Value:
    """Decode bytes that this server encoded, without the canonical check.

    Raises `InvalidDagCbor`.
    """
    try:
        return cbor2.loads(  # type: ignore[no-any-return]
            data,
            tag_hook=_decode_link,
            semantic_decoders=_ONLY_LINKS,
            max_depth=MAX_DEPTH + 1,  # cbor2 counts the tag of a link
            allow_indefinite=False,
            allow_duplicate_keys=False,
            strict_hashable_types=True,
        )
    except _MALFORMED as exc:
        raise InvalidDagCbor(f"malformed DAG-CBOR: {exc}") from exc


def decode_leniently(data: bytes, *, max_depth: int, decode_link: Callable[[bytes], Any]) -> Any:
    """Decode the first item of untrusted bytes, canonical or not.

    Invalid UTF-8 becomes U+FFFD. `decode_link` turns a link's binary CID into a value. Raises
    `InvalidDagCbor` for tags other than links, and for bytes that are not CBOR.
    """

    def decode_tag(tag: cbor2.CBORTag, immutable: bool) -> Any:
        return decode_link(_raw_link(tag))

    try:
        return cbor2.loads(
            data,
            tag_hook=decode_tag,
            semantic_decoders=_ONLY_LINKS,
            max_depth=max_depth + 1,
            str_errors="replace",
            strict_hashable_types=True,
        )
    except _MALFORMED as exc:
        raise InvalidDagCbor(f"malformed DAG-CBOR: {exc}") from exc


def check(value: object) -> None:
    """Raise `InvalidDagCbor` unless `value` belongs to the data model, within `MAX_DEPTH`."""
    # An explicit stack: untrusted input must not control the depth of Python's recursion.
    stack: list[tuple[Any, int]] = [(value, 0)]
    while stack:
        item, depth = stack.pop()
        kind = type(item)
        if kind is str or kind is bool or item is None or kind is bytes or kind is Cid:
            continue
        if kind is int:
            if not -MAX_INT <= item <= MAX_INT:
                raise InvalidDagCbor("integer is beyond 2^53 - 1")
            continue
        if depth >= MAX_DEPTH:
            raise InvalidDagCbor(f"nested deeper than {MAX_DEPTH} levels")
        if kind is dict:
            if any(type(key) is not str for key in item):
                raise InvalidDagCbor("map keys must be strings")
            stack.extend((child, depth + 1) for child in item.values())
        elif kind is list:
            stack.extend((child, depth + 1) for child in item)
        else:
            raise InvalidDagCbor(f"{kind.__name__} has no place in the data model")


def _encode_link(encoder: cbor2.CBOREncoder, value: object) -> None:
    if not isinstance(value, Cid):
        raise InvalidDagCbor(f"{type(value).__name__} has no place in the data model")
    # A binary CID inside CBOR carries the multibase identity prefix, a zero byte.
    encoder.encode(cbor2.CBORTag(_LINK_TAG, b"\x00" + value.raw))


class _OnlyLinks(Mapping[int, Any]):
    """Replaces cbor2's handling of every tag except links.

    With its tags for shared values, a few hundred bytes can expand to more than any memory when
    the tree is walked; other tags run regular expressions or big decimals.
    """

    def __getitem__(self, tag: int) -> Any:
        if tag == _LINK_TAG:
            raise KeyError(tag)
        return _refuse_tag

    def __iter__(self) -> Iterator[int]:
        return iter(())

    def __len__(self) -> int:
        return 0


def _refuse_tag(decoder: object, *_: object) -> Never:
    raise InvalidDagCbor("CBOR has a tag that is not a link")


_ONLY_LINKS: Final = _OnlyLinks()


def _decode_link(tag: cbor2.CBORTag, immutable: bool) -> Cid:
    return Cid.from_bytes(_raw_link(tag))


def _raw_link(tag: cbor2.CBORTag) -> bytes:
    value = tag.value
    if tag.tag != _LINK_TAG or type(value) is not bytes or not value.startswith(b"\x00"):
        raise InvalidCid(f"CBOR tag {tag.tag} is not a link")
    return value[1:]
