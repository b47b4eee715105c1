"""MST nodes: immutable values that an edit splits and joins."""

from __future__ import annotations

import hashlib
from typing import Final, TypeAlias, TypeVar

from repo.mst.encode import encode_entries, entry_head
from repo.mst.errors import NodeTooLarge

Link: TypeAlias = "bytes | Node | None"
"""A subtree: the binary CID of a stored node, a node only in memory, or no subtree."""

LinkT = TypeVar("LinkT", bound="bytes | Node | None")

CID_PREFIX: Final = bytes((1, 0x71, 0x12, 32))
"""First bytes of every CID in a tree: version 1, dag-cbor, SHA-256, 32 bytes."""
MAX_KEYS: Final = 1000
"""Limit for a node that is built or imported. Nodes have four keys on average and never reach
this by chance: such keys were chosen to make every edit copy thousands.

Spec: https://atproto.com/specs/repository#security-considerations
"""
NO_HEIGHT: Final = -1
"""`Node.height` of a node without keys: its layer follows from its place in the tree."""


class Node:
    """One node. `links[i]` is the subtree left of `keys[i]`, `links[-1]` the one after all keys.

    Never changed once built, except that `seal` fills in `cid` and `block`. A node parsed from a
    block has only CIDs as links.
    """

    __slots__ = ("block", "cid", "heads", "height", "keys", "links", "values")

    keys: tuple[bytes, ...]
    heads: tuple[bytes, ...]
    """The encoded form of each key, which depends on the key before it; see `entry_head`."""
    values: tuple[bytes, ...]
    """The binary CID of each key's record."""
    links: tuple[Link, ...]
    height: int
    """The layer of all keys of this node, or `NO_HEIGHT`."""
    cid: bytes | None
    block: bytes

    def __init__(
        self,
        keys: tuple[bytes, ...],
        heads: tuple[bytes, ...],
        values: tuple[bytes, ...],
        links: tuple[Link, ...],
        height: int,
    ) -> None:
        self.keys = keys
        self.heads = heads
        self.values = values
        self.links = links
        self.height = height
        self.cid = None
        self.block = b""

    @classmethod
    def bare(cls, link: Link) -> Node:
        """Make a node without keys: above a lone subtree, or the root of the empty tree."""
        return cls((), (), (), (link,), NO_HEIGHT)

    @classmethod
    def single(cls, key: bytes, value: bytes, height: int, left: Link, right: Link) -> Node:
        """Make a node with one key."""
        return cls((key,), (entry_head(b"", key),), (value,), (left, right), height)

    @property
    def is_empty(self) -> bool:
        """Whether the node has neither key nor subtree, which only an empty tree's root may."""
        return not self.keys and self.links[0] is None

    def with_link(self, at: int, link: Link) -> Node:
        """Return this node with another subtree at `at`."""
        links = self.links
        links = (*links[:at], link, *links[at + 1 :])
        return Node(self.keys, self.heads, self.values, links, self.height)

    def with_value(self, at: int, value: bytes) -> Node:
        """Return this node with another record at `keys[at]`."""
        values = (*self.values[:at], value, *self.values[at + 1 :])
        return Node(self.keys, self.heads, values, self.links, self.height)

    def with_key(
        self, at: int, key: bytes, value: bytes, height: int, left: Link, right: Link
    ) -> Node:
        """Return this node with a key inserted at `at`, where the subtree was split in two."""
        keys, heads = self.keys, self.heads
        before = keys[at - 1] if at else b""
        next_head = (entry_head(key, keys[at]),) if at < len(keys) else ()
        return Node(
            (*keys[:at], key, *keys[at:]),
            (*heads[:at], entry_head(before, key), *next_head, *heads[at + 1 :]),
            (*self.values[:at], value, *self.values[at:]),
            (*self.links[:at], left, right, *self.links[at + 1 :]),
            height,
        )

    def without_key(self, at: int, joined: Link) -> Node | None:
        """Return this node without `keys[at]`, its two neighbouring subtrees replaced by `joined`.

        Return None if the result would be empty.
        """
        keys = self.keys
        if len(keys) == 1:
            return None if joined is None else Node.bare(joined)
        before = keys[at - 1] if at else b""
        next_head = (entry_head(before, keys[at + 1]),) if at + 1 < len(keys) else ()
        return Node(
            (*keys[:at], *keys[at + 1 :]),
            (*self.heads[:at], *next_head, *self.heads[at + 2 :]),
            (*self.values[:at], *self.values[at + 1 :]),
            (*self.links[:at], joined, *self.links[at + 2 :]),
            self.height,
        )

    def before(self, at: int, last: Link) -> Node | None:
        """Return the part left of `keys[at]`, ending in `last`; None if that is empty."""
        if not at:
            return None if last is None else Node.bare(last)
        links = (*self.links[:at], last)
        return Node(self.keys[:at], self.heads[:at], self.values[:at], links, self.height)

    def after(self, at: int, first: Link) -> Node | None:
        """Return the part from `keys[at]` on, beginning with `first`; None if that is empty."""
        keys = self.keys[at:]
        if not keys:
            return None if first is None else Node.bare(first)
        heads = (entry_head(b"", keys[0]), *self.heads[at + 1 :])
        return Node(keys, heads, self.values[at:], (first, *self.links[at + 1 :]), self.height)

    def joined(self, right: Node, middle: Link) -> Node:
        """Merge this node with its right neighbour, with `middle` as the subtree between them."""
        keys, heads = right.keys, right.heads
        if keys and self.keys:
            heads = (entry_head(self.keys[-1], keys[0]), *heads[1:])
        return Node(
            self.keys + keys,
            self.heads + heads,
            self.values + right.values,
            (*self.links[:-1], middle, *right.links[1:]),
            max(self.height, right.height),
        )


def wrap(link: LinkT, layers: int) -> LinkT | Node:
    """Put a subtree below `layers` nodes without keys, because no layer may be skipped."""
    wrapped: LinkT | Node = link
    if link is not None:
        for _ in range(layers):
            wrapped = Node.bare(wrapped)
    return wrapped


def seal(node: Node) -> bytes:
    """Encode and hash `node` and the in-memory nodes below it, once. Return its binary CID.

    Raises `NodeTooLarge`.
    """
    cid = node.cid
    if cid is None:
        if len(node.keys) > MAX_KEYS:
            raise NodeTooLarge(MAX_KEYS)
        # The recursion is as deep as the tree, at most 128.
        links = [seal(link) if isinstance(link, Node) else link for link in node.links]
        block = node.block = encode_entries(node.heads, node.values, links)
        cid = node.cid = CID_PREFIX + hashlib.sha256(block).digest()
    return cid


def stored_form(node: Node) -> Node:
    """Return a sealed node as if parsed from its block, so that it keeps no other node alive."""
    links = tuple([link.cid if isinstance(link, Node) else link for link in node.links])
    copy = Node(node.keys, node.heads, node.values, links, node.height)
    copy.cid = node.cid
    copy.block = node.block
    return copy


def nodes_in_memory(root: Node) -> list[Node]:
    """Return the root and every node below it that is linked in memory, parents first."""
    nodes = [root]
    for node in nodes:
        nodes += [link for link in node.links if type(link) is Node]
    return nodes
