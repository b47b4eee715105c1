"""A whole tree, block by block, in the best order for reading a CAR: parents first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from repo.cid import Cid
from repo.mst.errors import InvalidMst
from repo.mst.store import BlockSource
from repo.mst.verify import VerifiedWalk


class TreeNode(NamedTuple):
    """A node, yielded before everything below it."""

    cid: Cid
    block: bytes


class TreeRecord(NamedTuple):
    """A record, yielded between the subtrees left and right of its key."""

    key: str
    cid: Cid


class _EnteredBlocks:
    """A `BlockSource` that records the blocks it returns."""

    def __init__(self, blocks: BlockSource) -> None:
        self._blocks = blocks
        self.entered: list[TreeNode] = []

    def get_block(self, cid: Cid, /) -> bytes:
        block = self._blocks.get_block(cid)
        self.entered.append(TreeNode(cid, block))
        return block


def stream_tree(root: Cid, blocks: BlockSource) -> Iterator[TreeNode | TreeRecord]:
    """Yield every node and record of a stored tree, in the order of their keys.

    Reads each node once and no records, and keeps only the nodes of one path. Raises
    `InvalidMst` for the first node that is not canonical or is misplaced, and `MissingBlock`.
    """
    noting = _EnteredBlocks(blocks)
    walk = VerifiedWalk(root, noting)
    records = iter(walk)
    while True:
        try:
            record = next(records, None)
        except InvalidMst as exc:
            # The fault may lie in the node or in its place; the CID identifies both.
            raise InvalidMst(f"{exc}, at node {walk.current}") from exc
        # The walk has just read the nodes before this record, in order.
        yield from noting.entered
        if record is None:
            return
        noting.entered.clear()
        yield TreeRecord(record[0].decode(), Cid(record[1]))
