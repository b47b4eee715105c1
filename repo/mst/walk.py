"""Iterating over a tree in key order, from any key."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator

from repo.cid import Cid
from repo.mst.errors import InvalidMst
from repo.mst.node import Node, seal
from repo.mst.search import open_child, open_root
from repo.mst.store import NodeStore


def walk_forward(
    store: NodeStore, root: bytes | Node, low: bytes = b""
) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values from `low` on, ascending. Raises `InvalidMst` if out of order."""
    node = open_root(store, root)
    top = node.height
    # Each node with the index of its next key; the subtree left of that key has been entered.
    index = bisect_left(node.keys, low)
    stack = [(node, index)]
    link = node.links[index]
    last = b""
    while True:
        while link is not None:
            node = open_child(store, link, top - len(stack))
            index = bisect_left(node.keys, low)
            stack.append((node, index))
            link = node.links[index]
        while index == len(node.keys):
            stack.pop()
            if not stack:
                return
            node, index = stack[-1]
        key = node.keys[index]
        if key <= last:
            raise InvalidMst(f"keys out of order in {Cid(seal(node))}: {key!r} after {last!r}")
        yield key, node.values[index]
        last = key
        index += 1
        stack[-1] = (node, index)
        link = node.links[index]
