"""Strict parsing of node blocks: a parsed node encodes to the same bytes."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import libipld

from repo.cid import Cid
from repo.mst.encode import entry_heads
from repo.mst.errors import InvalidMst
from repo.mst.key import check_key, key_height
from repo.mst.node import CID_PREFIX, NO_HEIGHT, Node

_CID_BYTES: Final = 36
_NODE_FIELDS: Final = 2
_ENTRY_FIELDS: Final = 4


class NodeParts(NamedTuple):
    """The contents of a node's block; fields as in `Node`."""

    keys: tuple[bytes, ...]
    values: tuple[bytes, ...]
    links: tuple[bytes | None, ...]
    height: int


def decode_node(block: bytes, cid: bytes) -> Node:
    """Parse the block of the binary `cid`; the caller guarantees that it hashes to it.

    Raises `InvalidMst` unless it is a canonical node: allowed keys, all of one layer and in
    order, prefixes as long as possible, nothing added or left out.
    """
    keys, values, links, height = decode_parts(block, cid)
    node = Node(keys, entry_heads(keys), values, links, height)
    node.cid = cid
    node.block = block
    return node


def decode_parts(block: bytes, cid: bytes) -> NodeParts:
    """Parse like `decode_node`, in half the time, for a node that will not be edited."""
    try:
        data = libipld.decode_dag_cbor(block)
        # libipld turns byte strings that look like CIDs into links, so these fail here, too.
        if libipld.encode_dag_cbor(data) != block:
            raise InvalidMst("not in canonical form")
        return _read(data)
    except (ValueError, RecursionError) as exc:
        raise InvalidMst(f"invalid MST node {Cid(cid)}: {exc}") from exc


def _read(data: Any) -> NodeParts:
    if type(data) is not dict or len(data) != _NODE_FIELDS or "l" not in data:
        raise InvalidMst("not a map of entries and a left link")
    entries = data.get("e")
    if type(entries) is not list:
        raise InvalidMst("entries are not a list")
    keys: list[bytes] = []
    values: list[bytes] = []
    links = [_check_link(data["l"])]
    height = NO_HEIGHT
    before = b""
    for entry in entries:
        if type(entry) is not dict or len(entry) != _ENTRY_FIELDS or "t" not in entry:
            raise InvalidMst("entry is not a map of key, prefix length, subtree and value")
        key = _read_key(entry, before)
        layer = key_height(key)
        if height != layer:
            if keys:
                raise InvalidMst(f"key in the wrong layer: {key!r}")
            height = layer
        keys.append(key)
        value = _check_link(entry.get("v"))
        if value is None:
            raise InvalidMst("entry has no value")
        values.append(value)
        links.append(_check_link(entry["t"]))
        before = key
    if height == 0 and any(links):
        raise InvalidMst("layer 0 has a subtree")
    return NodeParts(tuple(keys), tuple(values), tuple(links), height)


def _read_key(entry: dict[str, Any], before: bytes) -> bytes:
    """Return the key of an entry; `before` is the previous key."""
    shared, rest = entry.get("p"), entry.get("k")
    if type(shared) is not int or type(rest) is not bytes:
        raise InvalidMst("entry has no prefix length or key")
    if not 0 <= shared <= len(before) or before[shared : shared + 1] == rest[:1]:
        raise InvalidMst("prefix is not as long as it can be")
    key = before[:shared] + rest
    check_key(key)
    if key <= before:
        raise InvalidMst(f"keys out of order: {key!r} after {before!r}")
    return key


def _check_link(link: Any) -> bytes | None:
    if link is not None and (
        type(link) is not bytes or len(link) != _CID_BYTES or not link.startswith(CID_PREFIX)
    ):
        raise InvalidMst("link is not a CID of DAG-CBOR and SHA-256")
    return link
