"""Removing a key, and replacing its record: only the nodes on its path are made anew."""

from __future__ import annotations

from repo.mst.errors import KeyMissing
from repo.mst.insert import rebuild
from repo.mst.node import NO_HEIGHT, Link, Node
from repo.mst.search import find_path, open_child
from repo.mst.store import NodeStore


def remove(store: NodeStore, root: bytes | Node, key: bytes) -> bytes | Node:
    """Return the root of the tree without `key`. Raises `KeyMissing`."""
    path, found = find_path(store, root, key)
    if not found:
        raise KeyMissing(key.decode())
    _, node, index = path.pop()
    joined = _join(store, node.links[index], node.links[index + 1], node.height - 1)
    below: Link = _node_or_none(
        (*node.keys[:index], *node.keys[index + 1 :]),
        (*node.values[:index], *node.values[index + 1 :]),
        (*node.links[:index], joined, *node.links[index + 2 :]),
        node.height,
    )
    while below is None and path:
        above = path.pop()
        if above.node.keys:
            below = above.node.with_link(above.position, None)
    if below is None:
        return Node((), (), (None,), NO_HEIGHT)
    top = path[0].node.height if path else node.height
    return _lower_root(store, rebuild(path, below), top)


def replace(store: NodeStore, root: bytes | Node, key: bytes, value: bytes) -> Node:
    """Return the root of the tree with another record at `key`. Raises `KeyMissing`."""
    path, found = find_path(store, root, key)
    if not found:
        raise KeyMissing(key.decode())
    last = path.pop()
    return rebuild(path, last.node.with_value(last.position, value))


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
        joined = Node(
            a.keys + b.keys,
            a.values + b.values,
            (*a.links[:-1], joined, *b.links[1:]),
            max(a.height, b.height),
        )
    return joined


def _node_or_none(
    keys: tuple[bytes, ...], values: tuple[bytes, ...], links: tuple[Link, ...], height: int
) -> Node | None:
    if keys:
        return Node(keys, values, links, height)
    return None if links[0] is None else Node((), (), links, NO_HEIGHT)


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
