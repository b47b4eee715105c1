"""Checking a stored tree as a whole, while it is read."""

from __future__ import annotations

from collections.abc import Iterator

from repo.cid import Cid
from repo.mst.decode import NodeParts, decode_parts
from repo.mst.errors import InvalidMst, NodeTooLarge
from repo.mst.node import MAX_KEYS, NO_HEIGHT
from repo.mst.store import BlockSource


class VerifiedWalk:
    """The records of a stored tree in the order of their keys, once.

    Every node is read and checked on the way, itself and its place, so that a walk that comes to
    its end has seen the one tree of these records. Holds a path of the tree. Iterating raises
    `InvalidMst` at the first fault, and `MissingBlock` for a node that is not there.
    """

    def __init__(self, root: Cid, blocks: BlockSource) -> None:
        """The blocks are trusted to hash to their CIDs."""
        self._get_block = blocks.get_block
        self.current = root
        """The node that was read last."""
        self.nodes = 0
        """Nodes read so far."""
        self.height = 0
        """Layers of nodes, once the root has been read."""

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield keys and binary CIDs."""
        node = self._open_root()
        top = node.height
        # The nodes above, each with the position of the subtree that has been entered.
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
        """The node of a subtree that hangs in `layer`."""
        node = self._read(link)
        # Layers fall by one a step and never below 0, so no path is longer than a digest has pairs.
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
