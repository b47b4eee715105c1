"""Proofs: the nodes that, with a root CID, show what a tree holds at a key."""

from __future__ import annotations

from collections.abc import Iterator

from repo.mst.node import Link, Node
from repo.mst.search import find_path, open_child
from repo.mst.store import NodeStore


def prove(store: NodeStore, root: bytes | Node, key: bytes) -> list[Node]:
    """Return the nodes from the root to the key, or to the gap where it would be."""
    return [step.node for step in find_path(store, root, key)[0]]


def prove_covering(store: NodeStore, root: bytes | Node, key: bytes) -> list[Node]:
    """Like `prove`, plus the paths to both neighbouring keys: enough to invert an operation.

    A path to a gap already passes both neighbours. The neighbours of an existing key are at the
    ends of the subtrees beside it.
    """
    path, found = find_path(store, root, key)
    nodes = [step.node for step in path]
    if found:
        _, node, index = path[-1]
        layer = node.height - 1
        nodes.extend(_edge(store, node.links[index], layer, -1))
        nodes.extend(_edge(store, node.links[index + 1], layer, 0))
    return nodes


def _edge(store: NodeStore, link: Link, layer: int, side: int) -> Iterator[Node]:
    """Yield the edge nodes of a subtree: the right edge for side -1, the left one for side 0."""
    while link is not None:
        node = open_child(store, link, layer)
        yield node
        link = node.links[side]
        layer -= 1
