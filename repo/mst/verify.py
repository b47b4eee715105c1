"""Verification of a whole stored tree while it is read."""

from __future__ import annotations

from collections.abc import Iterator

from repo.cid import Cid
from repo.mst.decode import NodeParts, decode_parts
from repo.mst.errors import InvalidMst, NodeTooLarge
from repo.mst.node import MAX_KEYS, NO_HEIGHT
from repo.mst.store import BlockSource


class VerifiedWalk:
    """A single walk over the records of a stored tree in key order.

    Each node and its place in the tree are checked on the way, so a walk that reaches the end has
    verified the one tree of these records. Keeps one path of the tree in memory. Iterating raises
    `InvalidMst` at the first fault, and `MissingBlock` for a missing node.
    """

    def __init__(self, root: Cid, blocks: BlockSource) -> None:
        """The blocks are trusted to hash to their CIDs."""
        self._get_block = blocks.get_block
        self.current = root
        """The node read last."""
        self.nodes = 0
        """Nodes read so far."""
        self.height = 0
        """Layers of nodes, once the root has been read."""

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield keys and binary CIDs."""
        node = self._open_root()
        top = node.height
        # The ancestors, each with the position of the subtree that was entered.
        above: list[tuple[NodeParts, int]] = []
        index = 0
        last = b""
        while True:
            link = node.links[index]
            if link is not None:
                above.append((node, index))
                node = self._open(link, top - len(above))
                index = 0
                continue
            while index == len(node.keys):
                if not above:
                    return
                node, index = above.pop()
            key = node.keys[index]
            if key <= last:
                raise InvalidMst(f"keys out of order: {key!r} after {last!r}")
            yield key, node.values[index]
            last = key
            index += 1

    def _open_root(self) -> NodeParts:
        node = self._read(self.current.raw)
        if node.height == NO_HEIGHT and node.links[0] is not None:
            raise InvalidMst("root has no keys but a subtree")
        self.height = max(node.height, 0) + 1
        return node

    def _open(self, link: bytes, layer: int) -> NodeParts:
        """Return the root of a subtree in `layer`."""
        node = self._read(link)
        # Each step goes down one layer and never below 0, which bounds every path by MAX_HEIGHT.
        if node.height != layer and (node.height != NO_HEIGHT or layer <= 0):
            raise InvalidMst("subtree in the wrong layer")
        if node.height == NO_HEIGHT and node.links[0] is None:
            raise InvalidMst("empty node below the root")
        return node

    def _read(self, link: bytes) -> NodeParts:
        self.current = cid = Cid(link)
        self.nodes += 1
        node = decode_parts(self._get_block(cid), link)
        if len(node.keys) > MAX_KEYS:
            raise NodeTooLarge(MAX_KEYS)
        return node
