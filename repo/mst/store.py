"""Where a tree gets its stored nodes: a block source behind a cache."""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from typing import Final, Protocol

from cachetools import LRUCache

from repo.cid import Cid
from repo.mst.decode import decode_node
from repo.mst.errors import MissingBlock
from repo.mst.node import Node

DEFAULT_CACHE_NODES: Final = 1024
"""Cache size for a tree without a shared cache; a node takes about a kilobyte."""


class BlockSource(Protocol):
    """Anything that finds a block by its CID."""

    def get_block(self, cid: Cid, /) -> bytes:
        """Return the block, which must hash to `cid`. Raises `MissingBlock`."""
        ...


class NodeStore(Protocol):
    """Stored nodes by their binary CIDs."""

    def get_node(self, cid: bytes, /) -> Node:
        """Return the node, whose links are all CIDs. Raises `MissingBlock` and `InvalidMst`."""
        ...

    def keep_node(self, cid: bytes, node: Node, /) -> None:
        """Cache `node`, which is about to be stored and will be needed soon."""
        ...


class CachedNodeStore:
    """Nodes parsed from `get_block`, and kept in `cache` by their binary CIDs.

    Entries never go stale, because content does not change under its CID. So all trees of a
    process may share one cache, but threads may not unless it locks.
    """

    __slots__ = ("_cache", "_get_block")

    def __init__(
        self, get_block: Callable[[Cid], bytes], cache: MutableMapping[bytes, Node] | None = None
    ) -> None:
        self._get_block = get_block
        self._cache = LRUCache(DEFAULT_CACHE_NODES) if cache is None else cache

    def get_node(self, cid: bytes, /) -> Node:
        """Return the node, from the cache if possible."""
        try:
            return self._cache[cid]
        except KeyError:
            pass
        node = self._cache[cid] = decode_node(self._get_block(Cid(cid)), cid)
        return node

    def keep_node(self, cid: bytes, node: Node, /) -> None:
        """Put a new node into the cache, so that the next write need not read its block."""
        self._cache[cid] = node


class UncachedNodeStore:
    """Nodes parsed from `get_block` each time: for one walk over a tree, whatever its size."""

    __slots__ = ("_get_block",)

    def __init__(self, get_block: Callable[[Cid], bytes]) -> None:
        self._get_block = get_block

    def get_node(self, cid: bytes, /) -> Node:
        """Read and parse the node."""
        return decode_node(self._get_block(Cid(cid)), cid)

    def keep_node(self, cid: bytes, node: Node, /) -> None:
        """Keep nothing: a walk visits each node once."""


class MemoryBlocks:
    """A mapping of blocks, such as those of one CAR file, as a `BlockSource`."""

    __slots__ = ("blocks",)

    def __init__(self, blocks: Mapping[Cid, bytes]) -> None:
        self.blocks = blocks

    def get_block(self, cid: Cid, /) -> bytes:
        """Return the block. Raises `MissingBlock`."""
        try:
            return self.blocks[cid]
        except KeyError:
            raise MissingBlock(cid) from None
