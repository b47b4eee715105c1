"""Records that arrive as blocks, written by a stranger: whether the bytes are one.

`dagcbor.decode` is the judge. It takes ten times as long as libipld, which is no judge: it lets
floats, links to anything and numbers of 64 bits without a sign pass. So a block in which none of
these can hide is only held against libipld, and all others against `dagcbor`.

Spec: https://atproto.com/specs/data-model
"""

from __future__ import annotations

from typing import Final

import libipld

from repo import dagcbor, piecewise
from repo.dagcbor import InvalidDagCbor, Value

MAX_RECORD_BYTES: Final = 1_000_000
"""Of one encoded record; relays accept no larger ones."""

LARGE_BYTES: Final = 32 * 1024
"""From here on a record is large: if it is hostile, cbor2 takes 25 ms, and no thread goes on."""

NODE_FORM: Final = "it has the form of a tree node"
"""What is wrong with a record that is `has_node_form`."""

_RARE_HEADS: Final = b"\xd8\xfb\x1b\x3b"
"""How links, floats and integers of 64 bits begin. Text seldom has these bytes."""
_CONTAINER_HEADS: Final = bytes(range(0x80, 0xC0))
"""How lists and maps begin. Text beyond ASCII has such bytes, too."""

_MAP_HEADS: Final = frozenset(bytes((head,)) for head in range(0xA0, 0xC0))
_NODE_START: Final = b"\xa2ae"
_NODE_END: Final = b"al\xf6"
_NODE_LINK: Final = b"al\xd8\x2a\x58\x25\x00"
_NODE_LINK_AT: Final = slice(-36 - len(_NODE_LINK), -36)


class InvalidRecord(ValueError):
    """The block is not a record in canonical DAG-CBOR."""


def has_node_form(block: bytes) -> bool:
    """Whether the block is, by its first and last bytes, a node of a tree: `{"e": …, "l": …}`."""
    return block.startswith(_NODE_START) and (
        block.endswith(_NODE_END) or block[_NODE_LINK_AT] == _NODE_LINK
    )


def has_map_form(block: bytes) -> bool:
    """Whether the first item in the block, if it is CBOR, is a map."""
    return block[:1] in _MAP_HEADS


def decode_record(block: bytes) -> dict[str, Value]:
    """The record in `block`. Raises `InvalidRecord` unless it is a map in canonical DAG-CBOR,
    of `MAX_RECORD_BYTES` at most, and no node.
    """
    if len(block) > MAX_RECORD_BYTES:
        raise InvalidRecord(f"it has {len(block)} bytes, of {MAX_RECORD_BYTES} allowed")
    if has_node_form(block):
        # A node is deleted when its tree no longer has it, whoever else may refer to it.
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
    """The record in a block without links and rarities; None if it may have some or is at fault."""
    size = len(block)
    if len(block.translate(None, _RARE_HEADS)) != size:
        return None
    # Each level of nesting takes one head at least.
    if size - len(block.translate(None, _CONTAINER_HEADS)) >= dagcbor.MAX_DEPTH:
        return None
    try:
        value = libipld.decode_dag_cbor(block)
        # Byte strings that look like CIDs turn into links here, and so do not pass.
        if type(value) is dict and libipld.encode_dag_cbor(value) == block:
            return value
    except ValueError:
        pass
    return None
