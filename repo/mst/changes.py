"""Which nodes an edit added and removed, at the cost of those nodes and no more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from repo.cid import Cid
from repo.mst.node import Link, Node, seal
from repo.mst.store import NodeStore


@dataclass(slots=True, frozen=True)
class NodeChanges:
    """The difference of two trees in nodes."""

    added: dict[Cid, bytes]
    """Blocks of nodes that only the new tree has, parents first."""
    removed: tuple[Cid, ...]
    """Nodes that only the old tree has."""


def edited_nodes(store: NodeStore, old: bytes | Node, new: bytes | Node) -> NodeChanges:
    """Compare a stored tree with one made from it by edits.

    What the new tree still refers to by CID is a whole subtree of the old one, so comparing
    stops there; a node cannot stand at two places of a tree, for its keys cannot.
    """
    fresh: dict[bytes, Node] = {}
    kept: set[bytes] = set()
    if isinstance(new, Node):
        seal(new)
        for node in nodes_in_memory(new):
            assert node.cid is not None  # noqa: S101 - sealed
            fresh[node.cid] = node
            kept.update([link for link in node.links if type(link) is bytes])
    else:
        kept.add(new)
    removed: list[Cid] = []
    stack: list[Link] = [old]
    while stack:
        link = stack.pop()
        if link is None:
            continue
        cid = seal(link) if isinstance(link, Node) else link
        if cid in kept:
            continue
        if cid in fresh:
            # Edits that undid each other: this node and all below it were there before.
            for node in nodes_in_memory(fresh[cid]):
                fresh.pop(node.cid, None)  # type: ignore[arg-type]
            continue
        removed.append(Cid(cid))
        stack.extend((link if isinstance(link, Node) else store.get_node(link)).links)
    return NodeChanges({Cid(cid): node.block for cid, node in fresh.items()}, tuple(removed))


def nodes_in_memory(root: Node) -> Iterator[Node]:
    """Yield the root and every node below it that is linked in memory, parents first."""
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        stack.extend([link for link in reversed(node.links) if isinstance(link, Node)])
