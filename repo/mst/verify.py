"""Checking a stored tree as a whole: for tests, imports and `pds doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from repo.cid import Cid
from repo.mst.decode import decode_node
from repo.mst.errors import InvalidMst
from repo.mst.node import Node
from repo.mst.search import open_child, open_root
from repo.mst.store import BlockSource


@dataclass(slots=True, frozen=True)
class MstSize:
    """The measure of a sound tree."""

    records: int
    nodes: int
    height: int
    """Layers of nodes; 1 for the empty tree."""


class _CheckingStore:
    """Nodes straight from their blocks, which must hash to their CIDs."""

    def __init__(self, blocks: BlockSource) -> None:
        self._blocks = blocks

    def get_node(self, cid: bytes, /) -> Node:
        name = Cid(cid)
        block = self._blocks.get_block(name)
        if not name.matches(block):
            raise InvalidMst(f"block does not hash to its CID {name}")
        return decode_node(block, cid)

    def keep_node(self, cid: bytes, node: Node, /) -> None:
        """Nothing is kept: every block is to be looked at."""


def verify_structure(root: Cid, blocks: BlockSource) -> MstSize:
    """Read every node below `root` and check it, its place and its hash.

    Raises `InvalidMst` at the first fault, and `MissingBlock` for a node that is not there.
    """
    store = _CheckingStore(blocks)
    node = open_root(store, root.raw)
    layer, low, high = node.height, b"", b"\xff"
    height = max(layer, 0) + 1
    records = nodes = 0
    # Subtrees to come, with their layers and the keys that theirs must lie between.
    pending: list[tuple[bytes | Node, int, bytes, bytes]] = []
    while True:
        keys = node.keys
        if keys and (keys[0] <= low or keys[-1] >= high):
            raise InvalidMst("subtree has keys outside its gap")
        nodes += 1
        records += len(keys)
        gaps = pairwise((low, *keys, high))
        for link, (left, right) in zip(node.links, gaps, strict=True):
            if link is not None:
                pending.append((link, layer - 1, left, right))
        if not pending:
            return MstSize(records, nodes, height)
        link, layer, low, high = pending.pop()
        node = open_child(store, link, layer)
