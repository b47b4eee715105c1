"""MST nodes: parsed, immutable, and exact inverses of their DAG-CBOR blocks.

A block is `{"l": link, "e": [{"p", "k", "v", "t"}, …]}`: `p` bytes of each key are shared with
the key before it and `k` is the rest, `v` links the record, `t` the subtree right of the key,
`l` the subtree left of all keys.

Spec: https://atproto.com/specs/repository#mst-structure
"""

from __future__ import annotations

import hashlib
from typing import Any, Final, TypeAlias

import libipld

from repo.cid import Cid
from repo.mst.errors import InvalidMst
from repo.mst.key import check_key, key_height, shared_prefix

Link: TypeAlias = "bytes | Node | None"
"""A subtree: the binary CID of a stored node, a node that is only in memory, or none."""

CID_PREFIX: Final = bytes((1, 0x71, 0x12, 32))
"""First bytes of every CID in a tree: version 1, dag-cbor, SHA-256 of 32 bytes."""
CID_BYTES: Final = 36
NO_HEIGHT: Final = -1
"""`Node.height` of a node without keys: its layer follows from where it hangs."""


class Node:
    """One node. `links[i]` is the subtree left of `keys[i]`, `links[-1]` the one after all keys.

    Never changed once built, except that `seal` fills in `cid` and `block`. A node that came
    from a block has only CIDs as links.
    """

    __slots__ = ("block", "cid", "height", "keys", "links", "values")

    keys: tuple[bytes, ...]
    values: tuple[bytes, ...]
    links: tuple[Link, ...]
    height: int
    """The layer all keys of this node belong to, or `NO_HEIGHT`."""
    cid: bytes | None
    block: bytes

    def __init__(
        self,
        keys: tuple[bytes, ...],
        values: tuple[bytes, ...],
        links: tuple[Link, ...],
        height: int,
    ) -> None:
        self.keys = keys
        self.values = values
        self.links = links
        self.height = height
        self.cid = None
        self.block = b""

    @property
    def is_empty(self) -> bool:
        """Whether there is neither a key nor a subtree, as only in the root of an empty tree."""
        return not self.keys and self.links[0] is None

    def with_link(self, index: int, link: Link) -> Node:
        """This node with another subtree at `index`."""
        links = self.links
        return Node(
            self.keys, self.values, (*links[:index], link, *links[index + 1 :]), self.height
        )

    def with_value(self, index: int, value: bytes) -> Node:
        """This node with another record at `keys[index]`."""
        values = self.values
        return Node(
            self.keys, (*values[:index], value, *values[index + 1 :]), self.links, self.height
        )


def wrap(link: Link, layers: int) -> Link:
    """Hang a subtree below `layers` nodes without keys, for layers may not be skipped."""
    if link is not None:
        for _ in range(layers):
            link = Node((), (), (link,), NO_HEIGHT)
    return link


def seal(node: Node) -> bytes:
    """Encode and hash `node` and the in-memory nodes below it, once. Return its binary CID."""
    cid = node.cid
    if cid is None:
        # The recursion is as deep as the tree is high, at most MAX_HEIGHT.
        links = [seal(link) if type(link) is Node else link for link in node.links]
        block = node.block = encode_entries(node.keys, node.values, links)
        cid = node.cid = CID_PREFIX + hashlib.sha256(block).digest()
    return cid


def stored_form(node: Node) -> Node:
    """A sealed node as if parsed from its block, so that it keeps no other node in memory."""
    links = tuple([link.cid if type(link) is Node else link for link in node.links])
    copy = Node(node.keys, node.values, links, node.height)
    copy.cid = node.cid
    copy.block = node.block
    return copy


def encode_entries(
    keys: tuple[bytes, ...], values: tuple[bytes, ...], links: list[Any] | tuple[Any, ...]
) -> bytes:
    """The canonical block of a node whose `links` are binary CIDs or None."""
    # libipld writes byte strings that look like a CID as links. No key suffix can: a binary
    # CID starts with a byte below the allowed characters.
    entries = []
    before = b""
    for key, value, link in zip(keys, values, links[1:], strict=True):
        shared = shared_prefix(before, key)
        entries.append({"p": shared, "k": key[shared:], "v": value, "t": link})
        before = key
    return libipld.encode_dag_cbor({"l": links[0], "e": entries})


def decode_node(block: bytes, cid: bytes) -> Node:
    """Parse the block of the binary `cid`, which it is trusted to hash to.

    Raises `InvalidMst` unless it is a canonical node: allowed keys, all of one layer and in
    order, prefixes as long as can be, nothing added or left out.
    """
    try:
        keys, values, links = _read_entries(libipld.decode_dag_cbor(block))
        height = _check_keys(keys, links)
        if encode_entries(keys, values, links) != block:
            raise InvalidMst("not in canonical form")
    except (ValueError, RecursionError) as exc:
        raise InvalidMst(f"invalid MST node {Cid(cid)}: {exc}") from exc
    node = Node(keys, values, links, height)
    node.cid = cid
    node.block = block
    return node


def _read_entries(
    data: Any,
) -> tuple[tuple[bytes, ...], tuple[bytes, ...], tuple[bytes | None, ...]]:
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
    return tuple(keys), tuple(values), tuple(links)


def _check_link(link: Any) -> bytes | None:
    if link is not None and (
        type(link) is not bytes or len(link) != CID_BYTES or not link.startswith(CID_PREFIX)
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
