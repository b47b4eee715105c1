"""Inserting a key: only the nodes on its path are made anew."""

from __future__ import annotations

from repo.mst.errors import KeyExists
from repo.mst.key import key_height
from repo.mst.node import Link, Node, wrap
from repo.mst.search import Step, find_path
from repo.mst.store import NodeStore


def insert(store: NodeStore, root: bytes | Node, key: bytes, value: bytes) -> Node:
    """Return the root of the tree with `key` added. Raises `KeyExists`."""
    path, found = find_path(store, root, key)
    if found:
        raise KeyExists(key.decode())
    top_node = path[0].node
    height = key_height(key)
    if top_node.is_empty:
        return Node((key,), (value,), (None, None), height)
    # One layer a step, so the node of the key's layer stands `depth` steps down, if there is one.
    top = top_node.height
    depth = top - height
    if depth < 0:
        left, right = _split(path)
        links = (wrap(left, -depth - 1), wrap(right, -depth - 1))
        return Node((key,), (value,), links, height)
    if depth < len(path):
        halves = _split(path[depth + 1 :])
        node = _insert_into(path[depth], halves, key, value, height)
        return rebuild(path[:depth], node)
    new = Node((key,), (value,), (None, None), height)
    return rebuild(path, wrap(new, depth - len(path)))


def rebuild(path: list[Step], below: Link) -> Node:
    """Give every node of `path`, from its end up, the new subtree. Return the new root."""
    for step in reversed(path):
        below = step.node.with_link(step.position, below)
    assert isinstance(below, Node)  # noqa: S101 - `path` or `below` has a node
    return below


def _insert_into(
    step: Step, halves: tuple[Link, Link], key: bytes, value: bytes, height: int
) -> Node:
    """Put the key into the node of its layer, between the halves of the subtree it splits."""
    node, index = step.node, step.position
    return Node(
        (*node.keys[:index], key, *node.keys[index:]),
        (*node.values[:index], value, *node.values[index:]),
        (*node.links[:index], *halves, *node.links[index + 1 :]),
        height,
    )


def _split(path: list[Step]) -> tuple[Link, Link]:
    """Cut the subtree whose search path is `path` into what is left and right of the key.

    A part that nothing was cut from remains the link it was.
    """
    left: Link = None
    right: Link = None
    for link, node, index in reversed(path):
        left_keys, right_keys = node.keys[:index], node.keys[index:]
        if not right_keys and right is None:
            left = link
        elif not left_keys and left is None:
            right = link
        else:
            left = _half(left_keys, node.values[:index], (*node.links[:index], left), node)
            right = _half(right_keys, node.values[index:], (right, *node.links[index + 1 :]), node)
    return left, right


def _half(
    keys: tuple[bytes, ...], values: tuple[bytes, ...], links: tuple[Link, ...], whole: Node
) -> Link:
    if not keys:
        # A layer is never skipped: a lone subtree keeps a node without keys above it.
        return wrap(links[0], 1)
    return Node(keys, values, links, whole.height)
