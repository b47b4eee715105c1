"""Whether stored blocks are one sound tree: every node, its place and its hash."""

from __future__ import annotations

from dataclasses import dataclass

from repo.cid import Cid
from repo.mst import BlockSource, InvalidMst, VerifiedWalk


@dataclass(slots=True, frozen=True)
class MstSize:
    """The size of a valid tree."""

    records: int
    nodes: int
    height: int
    """Layers of nodes; 1 for the empty tree."""


class _HashedBlocks:
    """A `BlockSource` that checks each block against its CID."""

    def __init__(self, blocks: BlockSource) -> None:
        self._blocks = blocks

    def get_block(self, cid: Cid, /) -> bytes:
        block = self._blocks.get_block(cid)
        if cid != Cid.of_dag_cbor(block):
            raise InvalidMst(f"block does not hash to its CID {cid}")
        return block


def verify_structure(root: Cid, blocks: BlockSource) -> MstSize:
    """Read every node below `root` and check it, its place and its hash.

    Raises `InvalidMst` at the first fault, and `MissingBlock` for a missing node.
    """
    walk = VerifiedWalk(root, _HashedBlocks(blocks))
    records = sum(1 for _ in walk)
    return MstSize(records, walk.nodes, walk.height)
