"""Validation of records that arrive as blocks from an untrusted source.

`dagcbor.decode` decides. It takes ten times as long as libipld, which is too lenient: it accepts
floats, links to anything and unsigned 64-bit integers. So a block that cannot contain any of
these is checked with libipld alone, and every other block with `dagcbor`.

Spec: https://atproto.com/specs/data-model
"""

from __future__ import annotations

from typing import Final

import libipld

from repo import dagcbor, piecewise
from repo.dagcbor import InvalidDagCbor, Value

MAX_RECORD_BYTES: Final = 1_000_000
"""Largest encoded record; relays accept no larger ones."""

LARGE_BYTES: Final = 32 * 1024
"""From this size, a hostile record takes cbor2 25 ms, during which no other thread runs."""

NODE_FORM: Final = "it has the form of a tree node"
"""The fault of a record for which `has_node_form` is true."""

_RARE_HEADS: Final = b"\xd8\xfb\x1b\x3b"
"""First bytes of links, floats and 64-bit integers. Text seldom contains them."""
_CONTAINER_HEADS: Final = bytes(range(0x80, 0xC0))
"""First bytes of lists and maps. Non-ASCII text contains them, too."""

_MAP_HEADS: Final = frozenset(bytes((head,)) for head in range(0xA0, 0xC0))
_NODE_START: Final = b"\xa2ae"
_NODE_END: Final = b"al\xf6"
_NODE_LINK: Final = b"al\xd8\x2a\x58\x25\x00"
_NODE_LINK_AT: Final = slice(-36 - len(_NODE_LINK), -36)


class InvalidRecord(ValueError):
    """The block is not a record in canonical DAG-CBOR."""


def has_node_form(block: bytes) -> bool:
    """Whether the block begins and ends like a tree node: `{"e": …, "l": …}`."""
    return block.startswith(_NODE_START) and (
        block.endswith(_NODE_END) or block[_NODE_LINK_AT] == _NODE_LINK
    )


def has_map_form(block: bytes) -> bool:
    """Whether the first item in the block, if it is CBOR, is a map."""
    return block[:1] in _MAP_HEADS


def decode_record(block: bytes) -> dict[str, Value]:
    """Return the record in `block`.

    Raises `InvalidRecord` unless it is a map in canonical DAG-CBOR, of at most
    `MAX_RECORD_BYTES`, and not a tree node.
    """
    if len(block) > MAX_RECORD_BYTES:
        raise InvalidRecord(f"it has {len(block)} bytes, of {MAX_RECORD_BYTES} allowed")
    if has_node_form(block):
        # A node is deleted once its tree drops it, even if a record has the same CID.
        raise InvalidRecord(NODE_FORM)
    value: Value = _decode_plain(block)
    if value is None:
        try:
            value = _decode_exactly(block)
        except InvalidDagCbor as exc:
            raise InvalidRecord(str(exc)) from exc
    if type(value) is not dict:
        raise InvalidRecord("it is not a map")
    return value


def _decode_exactly(block: bytes) -> Value:
    if len(block) < LARGE_BYTES:
        return dagcbor.decode(block)
    return piecewise.decode(block)


def _decode_plain(block: bytes) -> dict[str, Value] | None:
    """Decode a block without rare items; None if it is faulty or may contain some."""
    size = len(block)
    if len(block.translate(None, _RARE_HEADS)) != size:
        return None
    # Each level of nesting takes at least one head.
    if size - len(block.translate(None, _CONTAINER_HEADS)) >= dagcbor.MAX_DEPTH:
        return None
    try:
        value = libipld.decode_dag_cbor(block)
        # libipld turns byte strings that look like CIDs into links, so these fail the comparison.
        if type(value) is dict and libipld.encode_dag_cbor(value) == block:
            return value
    except ValueError:
        pass
    return None
