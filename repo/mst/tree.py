"""`Mst`: a repository's records by key, as a persistent (immutable) tree.

A stored node is referred to by its CID and read on demand; a new node is held in memory. An
edit returns a new tree, which shares all but one path with the old one, so both remain usable.
Nodes are encoded and hashed, once each, when the root CID or a block is requested.

Spec: https://atproto.com/specs/repository#mst-structure
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableMapping
from typing import Final

from repo.cid import Cid
from repo.mst.changes import NodeChanges, edited_nodes
from repo.mst.insert import insert
from repo.mst.key import encode_key
from repo.mst.node import Node, nodes_in_memory, seal, stored_form
from repo.mst.proof import prove, prove_covering
from repo.mst.remove import remove, replace
from repo.mst.search import find_path
from repo.mst.store import BlockSource, CachedNodeStore, MemoryBlocks, NodeStore
from repo.mst.walk import walk_forward

_NO_BLOCKS: Final = MemoryBlocks({})


class Mst:
    """A persistent (immutable) Merkle search tree.

    Every method may raise `MissingBlock` and `InvalidMst`, because stored nodes are read and
    checked on first use.
    """

    __slots__ = ("_root", "_store")

    def __init__(self, store: NodeStore, root: bytes | Node) -> None:
        self._store = store
        self._root = root

    @classmethod
    def load(
        cls, root: Cid, blocks: BlockSource, *, cache: MutableMapping[bytes, Node] | None = None
    ) -> Mst:
        """Return the stored tree at a root CID; nothing is read yet. See `CachedNodeStore`."""
        return cls(CachedNodeStore(blocks.get_block, cache), root.raw)

    @classmethod
    def empty(
        cls,
        blocks: BlockSource = _NO_BLOCKS,
        *,
        cache: MutableMapping[bytes, Node] | None = None,
    ) -> Mst:
        """Return the tree without records, which has one node."""
        store = CachedNodeStore(blocks.get_block, cache)
        return cls(store, Node.bare(None))

    @property
    def root(self) -> Cid:
        """The CID of the root node: the `data` of a commit."""
        root = self._root
        return Cid(seal(root) if isinstance(root, Node) else root)

    def get(self, key: str) -> Cid | None:
        """Return the CID of the record at `key`, or None."""
        path, found = find_path(self._store, self._root, encode_key(key))
        _, node, index = path[-1]
        return Cid(node.values[index]) if found else None

    def create(self, key: str, value: Cid) -> Mst:
        """Return the tree with a record added. Raises `KeyExists`."""
        return Mst(self._store, insert(self._store, self._root, encode_key(key), value.raw))

    def update(self, key: str, value: Cid) -> Mst:
        """Return the tree with a record replaced. Raises `KeyMissing`."""
        return Mst(self._store, replace(self._store, self._root, encode_key(key), value.raw))

    def delete(self, key: str) -> Mst:
        """Return the tree with a record removed. Raises `KeyMissing`."""
        return Mst(self._store, remove(self._store, self._root, encode_key(key)))

    def walk(self, after: str | None = None) -> Iterator[tuple[str, Cid]]:
        """Yield records in key order, from the first one above `after`."""
        low = b"" if after is None else after.encode() + b"\x00"
        for key, value in walk_forward(self._store, self._root, low):
            yield key.decode(), Cid(value)

    def changed_blocks(self) -> dict[Cid, bytes]:
        """Return the blocks of nodes made by edits since the tree was loaded, the root first."""
        root = self._root
        if not isinstance(root, Node):
            return {}
        seal(root)
        return _blocks_of(nodes_in_memory(root))

    def changes_since(self, old: Mst | None) -> NodeChanges:
        """Return the nodes to store and to delete; this tree must derive from `old` by edits.

        `old` is None if nothing was stored before.

        Exact, at the cost of only the nodes on the edited paths. For unrelated trees, use
        `iter_differences`.
        """
        if old is None:
            return NodeChanges(self.changed_blocks(), ())
        return edited_nodes(self._store, old._root, self._root)

    def proof(self, key: str) -> dict[Cid, bytes]:
        """Return the nodes that prove the record at `key` or its absence, the root first."""
        return _blocks_of(prove(self._store, self._root, encode_key(key)))

    def covering_proof(self, key: str) -> dict[Cid, bytes]:
        """Return `proof` plus the paths to both neighbouring keys.

        Consumers need these to invert an operation on `key` (Sync 1.1).
        """
        return _blocks_of(prove_covering(self._store, self._root, encode_key(key)))

    def settled(self) -> Mst:
        """Return the same tree as a stored one: its nodes move to the cache, out of this object.

        The nodes are looked up by CID from then on, so store `changed_blocks` first or at once.
        """
        root = self._root
        if not isinstance(root, Node):
            return self
        cid = seal(root)
        for node in nodes_in_memory(root):
            self._store.keep_node(seal(node), stored_form(node))
        return Mst(self._store, cid)


def _blocks_of(nodes: Iterable[Node]) -> dict[Cid, bytes]:
    """Return the blocks of sealed nodes by CID."""
    return {Cid(seal(node)): node.block for node in nodes}
