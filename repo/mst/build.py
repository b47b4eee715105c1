"""Building a whole tree from sorted records: one pass, each node made once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from repo.cid import Cid
from repo.mst.encode import entry_heads
from repo.mst.errors import InvalidMst
from repo.mst.key import encode_key, key_height
from repo.mst.node import Node, seal


class _OpenNode:
    """A node of one layer to which keys are still being added. `links` lacks the last one."""

    __slots__ = ("keys", "links", "values")

    def __init__(self) -> None:
        self.keys: list[bytes] = []
        self.values: list[bytes] = []
        self.links: list[bytes | None] = []


def build_blocks(items: Iterable[tuple[str, Cid]]) -> Iterator[tuple[Cid, bytes]]:
    """Yield the nodes of the tree of `items`, sorted by key; children first, the root last.

    Keeps one node per layer. Raises `InvalidMst` for a bad key or keys out of order.
    """
    layers: list[_OpenNode] = []
    last = b""
    for text, value in items:
        key = encode_key(text)
        if key <= last:
            raise InvalidMst(f"keys out of order: {key!r} after {last!r}")
        last = key
        height = key_height(key)
        while len(layers) <= height:
            layers.append(_OpenNode())
        left: bytes | None = None
        for layer in range(height):
            node = _close(layers[layer], left, layer)
            layers[layer] = _OpenNode()
            left = None
            if node is not None:
                left = seal(node)
                yield Cid(left), node.block
        home = layers[height]
        home.keys.append(key)
        home.values.append(value.raw)
        home.links.append(left)
    yield from _close_all(layers)


def _close_all(layers: list[_OpenNode]) -> Iterator[tuple[Cid, bytes]]:
    below: bytes | None = None
    for layer, open_node in enumerate(layers):
        node = _close(open_node, below, layer)
        below = None
        if node is not None:
            below = seal(node)
            yield Cid(below), node.block
    if not layers:
        root = Node.bare(None)
        yield Cid(seal(root)), root.block


def _close(open_node: _OpenNode, last: bytes | None, layer: int) -> Node | None:
    """Finish the node with `last` as its last subtree; return None if it holds nothing."""
    if not open_node.keys:
        return None if last is None else Node.bare(last)
    keys = tuple(open_node.keys)
    links = (*open_node.links, last)
    return Node(keys, entry_heads(keys), tuple(open_node.values), links, layer)
