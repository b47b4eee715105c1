"""Descending a tree: the path to a key, with each node checked on the way."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final, NamedTuple

from repo.cid import Cid
from repo.mst.errors import InvalidMst
from repo.mst.node import NO_HEIGHT, Node, seal
from repo.mst.store import NodeStore

_BELOW_ALL_KEYS: Final = b""
_ABOVE_ALL_KEYS: Final = b"\xff"


class Step(NamedTuple):
    """A node on a path, with the link that led to it and the key's `position` in it."""

    link: bytes | Node
    node: Node
    position: int


def open_root(store: NodeStore, link: bytes | Node) -> Node:
    """Return the root node. Raises `InvalidMst` if it has a subtree but no key."""
    node = link if isinstance(link, Node) else store.get_node(link)
    if node.height == NO_HEIGHT and node.links[0] is not None:
        raise InvalidMst(f"root {Cid(seal(node))} has no keys but a subtree")
    return node


def open_child(store: NodeStore, link: bytes | Node, layer: int) -> Node:
    """Return the root of a subtree in `layer`. Raises `InvalidMst` if it does not belong there."""
    node = link if isinstance(link, Node) else store.get_node(link)
    height = node.height
    # Each step goes down one layer and never below 0, which bounds every path by MAX_HEIGHT.
    if height != layer and (height != NO_HEIGHT or layer <= 0):
        raise InvalidMst(f"subtree {Cid(seal(node))} is in the wrong layer")
    if node.links[0] is None and height == NO_HEIGHT:
        raise InvalidMst(f"empty node {Cid(seal(node))} below the root")
    return node


def find_path(store: NodeStore, root: bytes | Node, key: bytes) -> tuple[list[Step], bool]:
    """Return the path from the root to `key` or its gap, and whether the key exists.

    Each step's `position` is the index of the first key not below `key`. Raises `InvalidMst` if
    a node on the way has keys outside the gap it fills.
    """
    node = open_root(store, root)
    layer = node.height
    link = root
    low, high = _BELOW_ALL_KEYS, _ABOVE_ALL_KEYS
    path: list[Step] = []
    while True:
        keys = node.keys
        if keys and (keys[0] <= low or keys[-1] >= high):
            raise InvalidMst(f"subtree {Cid(seal(node))} has keys outside its gap")
        index = bisect_left(keys, key)
        path.append(Step(link, node, index))
        if index < len(keys):
            high = keys[index]
            if high == key:
                return path, True
        if index:
            low = keys[index - 1]
        below = node.links[index]
        if below is None:
            return path, False
        link = below
        layer -= 1
        node = open_child(store, link, layer)
