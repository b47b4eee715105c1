"""Reading the block of a node, strictly: what comes out encodes to the same bytes."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import libipld

from repo.cid import Cid
from repo.mst.encode import encode_entries, entry_heads
from repo.mst.errors import InvalidMst
from repo.mst.key import check_key, key_height
from repo.mst.node import CID_PREFIX, NO_HEIGHT, Node

_CID_BYTES: Final = 36


class _Entries(NamedTuple):
    keys: tuple[bytes, ...]
    values: tuple[bytes, ...]
    links: tuple[bytes | None, ...]


def decode_node(block: bytes, cid: bytes) -> Node:
    """Parse the block of the binary `cid`, which it is trusted to hash to.

    Raises `InvalidMst` unless it is a canonical node: allowed keys, all of one layer and in
    order, prefixes as long as can be, nothing added or left out.
    """
    try:
        keys, values, links = _read_entries(libipld.decode_dag_cbor(block))
        height = _check_keys(keys, links)
        heads = entry_heads(keys)
        # Finds every other fault: odd prefix lengths, bytes where a link belongs, more fields.
        if encode_entries(heads, values, links) != block:
            raise InvalidMst("not in canonical form")
    except (ValueError, RecursionError) as exc:
        raise InvalidMst(f"invalid MST node {Cid(cid)}: {exc}") from exc
    node = Node(keys, heads, values, links, height)
    node.cid = cid
    node.block = block
    return node


def _read_entries(data: Any) -> _Entries:
    if type(data) is not dict or type(data.get("e")) is not list:
        raise InvalidMst("not a map with a list of entries")
    keys: list[bytes] = []
    values: list[bytes] = []
    links = [_check_link(data.get("l"))]
    before = b""
    for entry in data["e"]:
        if type(entry) is not dict:
            raise InvalidMst("entry is not a map")
        shared, rest = entry.get("p"), entry.get("k")
        if type(shared) is not int or type(rest) is not bytes:
            raise InvalidMst("entry has no prefix length or key")
        # A wrong prefix length shows when the node is encoded again.
        before = before[:shared] + rest
        check_key(before)
        keys.append(before)
        value = _check_link(entry.get("v"))
        if value is None:
            raise InvalidMst("entry has no value")
        values.append(value)
        links.append(_check_link(entry.get("t")))
    return _Entries(tuple(keys), tuple(values), tuple(links))


def _check_link(link: Any) -> bytes | None:
    if link is not None and (
        type(link) is not bytes or len(link) != _CID_BYTES or not link.startswith(CID_PREFIX)
    ):
        raise InvalidMst("link is not a CID of DAG-CBOR and SHA-256")
    return link


def _check_keys(keys: tuple[bytes, ...], links: tuple[bytes | None, ...]) -> int:
    """Return the layer of the keys. Raises `InvalidMst` unless they share it and rise."""
    if not keys:
        return NO_HEIGHT
    height = key_height(keys[0])
    before = b""
    for key in keys:
        if key <= before:
            raise InvalidMst(f"keys out of order: {key!r} after {before!r}")
        if key_height(key) != height:
            raise InvalidMst(f"key in the wrong layer: {key!r}")
        before = key
    if height == 0 and any(links):
        raise InvalidMst("layer 0 has a subtree")
    return height
