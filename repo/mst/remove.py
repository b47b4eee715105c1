"""Removing a key, and replacing its record: only the nodes on its path are remade."""

from __future__ import annotations

from repo.mst.errors import KeyMissing
from repo.mst.insert import rebuild
from repo.mst.node import Link, Node
from repo.mst.search import find_path, open_child
from repo.mst.store import NodeStore


def remove(store: NodeStore, root: bytes | Node, key: bytes) -> bytes | Node:
    """Return the root of the tree without `key`. Raises `KeyMissing`."""
    path, found = find_path(store, root, key)
    if not found:
        raise KeyMissing(key.decode())
    _, node, at = path.pop()
    top = path[0].node.height if path else node.height
    below = node.without_key(at, _join(store, node.links[at], node.links[at + 1], node.height - 1))
    while below is None:
        # Drop the node if it is empty now, and its ancestors that held nothing else.
        if not path:
            return Node.bare(None)
        _, node, at = path.pop()
        if node.keys:
            below = node.with_link(at, None)
    return _lower_root(store, rebuild(path, below), top)


def replace(store: NodeStore, root: bytes | Node, key: bytes, value: bytes) -> Node:
    """Return the root of the tree with another record at `key`. Raises `KeyMissing`."""
    path, found = find_path(store, root, key)
    if not found:
        raise KeyMissing(key.decode())
    _, node, at = path.pop()
    return rebuild(path, node.with_value(at, value))


def _join(store: NodeStore, left: Link, right: Link, layer: int) -> Link:
    """Join two neighbouring subtrees of one layer along the seam between them."""
    seam: list[tuple[Node, Node]] = []
    while left is not None and right is not None:
        a, b = open_child(store, left, layer), open_child(store, right, layer)
        seam.append((a, b))
        left, right = a.links[-1], b.links[0]
        layer -= 1
    joined = right if left is None else left
    for a, b in reversed(seam):
        joined = a.joined(b, joined)
    return joined


def _lower_root(store: NodeStore, root: Node, layer: int) -> bytes | Node:
    """Drop nodes without keys from the top: the root is the highest node that has one."""
    link: bytes | Node = root
    node = root
    while not node.keys:
        below = node.links[0]
        if below is None:
            return node
        link = below
        layer -= 1
        node = open_child(store, link, layer)
    return link
