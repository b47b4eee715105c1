"""The nodes that an edit added and removed, at the cost of just those nodes."""

from __future__ import annotations

from dataclasses import dataclass

from repo.cid import Cid
from repo.mst.node import Link, Node, nodes_in_memory, seal
from repo.mst.store import NodeStore


@dataclass(slots=True, frozen=True)
class NodeChanges:
    """The difference between two trees in nodes."""

    added: dict[Cid, bytes]
    """Blocks of the nodes that only the new tree has, parents first."""
    removed: tuple[Cid, ...]
    """CIDs of the nodes that only the old tree has."""


def edited_nodes(store: NodeStore, old: bytes | Node, new: bytes | Node) -> NodeChanges:
    """Compare a stored tree with one derived from it by edits.

    Whatever the new tree still links by CID is a whole subtree of the old one, so the comparison
    stops there. No node occurs twice in a tree, because no key does.
    """
    fresh: dict[bytes, Node] = {}
    kept: set[Link] = {None}
    if isinstance(new, Node):
        nodes = nodes_in_memory(new)
        fresh = {seal(node): node for node in nodes}
        kept |= {link for node in nodes for link in node.links if type(link) is bytes}
    else:
        kept.add(new)
    removed: list[Cid] = []
    pending: list[bytes | Node] = [old]
    for link in pending:
        cid = seal(link) if isinstance(link, Node) else link
        if cid in kept:
            continue
        if cid in fresh:
            # Edits cancelled out: this node and all nodes below it existed before.
            for known in nodes_in_memory(fresh[cid]):
                fresh.pop(seal(known), None)
            continue
        removed.append(Cid(cid))
        node = link if isinstance(link, Node) else store.get_node(link)
        pending += [below for below in node.links if below is not None and below not in kept]
    return NodeChanges({Cid(cid): node.block for cid, node in fresh.items()}, tuple(removed))
