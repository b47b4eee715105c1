"""Blocks of one actor's repo: commit, MST nodes and records, by CID."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from typing import Final

import libipld
from cachetools import LRUCache

from actor_store.errors import ActorStoreDamaged, RepoNotFound
from actor_store.lookups import Lookups
from database.connection import Database
from repo.car import encode_block, encode_header, encode_varint
from repo.cid import Cid
from repo.commit import Commit, Head, InvalidCommit, decode_commit
from repo.mst import InvalidMst, MissingBlock, Mst, Node
from repo.mst.key import encode_key

CHUNK_BYTES: Final = 256 * 1024
"""Minimum size of the parts of a streamed CAR, except the last. A part exceeds it by at most one
block, and a stalled consumer holds two parts."""
NODE_CACHE_BYTES: Final = 32 * 1024 * 1024
"""Memory for the MST nodes of all actors together."""

_NODE_OVERHEAD_BYTES: Final = 700
_NODE_FACTOR: Final = 3
"""A parsed node holds its keys, its values and its block in separate objects."""
_CID_BYTES: Final = 36
# Of each block: the varint of the length of what follows, CID and content.
_CAR_BYTES: Final = (
    f"SELECT sum({_CID_BYTES} + size + CASE WHEN {_CID_BYTES} + size < 128 THEN 1"
    f" WHEN {_CID_BYTES} + size < 16384 THEN 2 WHEN {_CID_BYTES} + size < 2097152 THEN 3"
    " ELSE 4 END) FROM (SELECT length(content) AS size FROM repo_block)"
)


class _Varints(dict[int, bytes]):
    """Encoded numbers: small ones from the table, others computed on demand."""

    def __missing__(self, number: int) -> bytes:
        return encode_varint(number)


_VARINTS: Final = _Varints((number, encode_varint(number)) for number in range(4096))

NodeCache = MutableMapping[bytes, Node]
"""MST nodes by binary CID. Not thread-safe."""


class CountedNodeCache(LRUCache[bytes, Node]):
    """A `NodeCache` that evicts the least recently used node. Its size is an estimate."""

    def __init__(self, max_bytes: int = NODE_CACHE_BYTES) -> None:
        super().__init__(max_bytes, getsizeof=_estimate_bytes)
        self.lookups = Lookups()

    def __getitem__(self, cid: bytes) -> Node:
        self.lookups.hits += 1
        return super().__getitem__(cid)

    def __missing__(self, cid: bytes) -> Node:
        self.lookups.hits -= 1
        self.lookups.misses += 1
        raise KeyError(cid)


class RepoReader:
    """Reads the repo of one actor."""

    def __init__(self, db: Database, did: str, nodes: NodeCache) -> None:
        self._db = db
        self._did = did
        self._nodes = nodes
        # The last commit read, and its data root: content-addressed, so never stale.
        self._root: tuple[Cid, Cid] | None = None

    def head(self) -> Head:
        """Return the current head. Raises `RepoNotFound` if there is no commit yet."""
        head = self.find_head()
        if head is None:
            raise RepoNotFound(self._did)
        return head

    def find_head(self) -> Head | None:
        """Return the current head, or None before the first commit."""
        row = self._db.one("SELECT cid, rev FROM repo_root WHERE did = ?", (self._did,))
        return None if row is None else Head(Cid.parse_stored(row[0]), row[1])

    def get_block(self, cid: Cid) -> bytes:
        """Return a block. Raises `MissingBlock`."""
        block = self._db.value("SELECT content FROM repo_block WHERE cid = ?", (str(cid),))
        if block is None:
            raise MissingBlock(cid)
        return bytes(block)

    def find_blocks(self, cids: Iterable[Cid]) -> dict[Cid, bytes]:
        """Return the blocks that are stored, by CID."""
        found: dict[Cid, bytes] = {}
        for cid in cids:
            block = self._db.value("SELECT content FROM repo_block WHERE cid = ?", (str(cid),))
            if block is not None:
                found[cid] = block
        return found

    def block_sizes(self, cids: Iterable[Cid]) -> dict[Cid, int]:
        """Return the sizes in bytes of the blocks that are stored, by CID."""
        sizes: dict[Cid, int] = {}
        for cid in cids:
            size = self._db.value("SELECT size FROM repo_block WHERE cid = ?", (str(cid),))
            if size is not None:
                sizes[cid] = size
        return sizes

    def iter_blocks_car(self, cids: Iterable[Cid]) -> Iterator[bytes]:
        """Yield a CAR without roots of the blocks that are stored, block by block."""
        yield encode_header(())
        for cid in cids:
            for block in self.find_blocks((cid,)).values():
                yield encode_block(cid, block)

    def block_count(self) -> int:
        """Return the number of stored blocks."""
        return int(self._db.value("SELECT count(*) FROM repo_block"))

    def tree(self, head: Head | None = None) -> Mst:
        """Return the tree of records at `head`, by default the current head.

        Raises `RepoNotFound`, and `ActorStoreDamaged` if the commit is missing.
        """
        head = head or self.head()
        return Mst.load(self._data_root(head.cid), self, cache=self._nodes)

    def record_proof(self, collection: str, rkey: str) -> dict[Cid, bytes]:
        """Return blocks that prove a record or its absence: the commit first, the record last.

        Raises `RepoNotFound`, `ActorStoreDamaged`, and `InvalidMst` for an impossible key.
        """
        key = f"{collection}/{rkey}"
        encode_key(key)
        head = self.head()
        try:
            tree = self.tree(head)
            blocks = {head.cid: self.get_block(head.cid), **tree.proof(key)}
            cid = tree.get(key)
            if cid is not None:
                blocks[cid] = self.get_block(cid)
        except (InvalidMst, MissingBlock) as exc:
            raise ActorStoreDamaged(self._did, str(exc)) from exc
        return blocks

    def iter_car(self, since: str | None = None) -> Iterator[bytes]:
        """Yield the repo as a CAR file in parts; with `since` (a rev), only blocks stored after it.

        Ordered like the reference's, newest first. For a consistent file, hold a transaction.
        """
        header = encode_header((self.head().cid,))
        where, params = ("", ()) if since is None else ("WHERE repoRev > ?", (since,))
        sql = f"SELECT cid, content FROM repo_block {where} ORDER BY repoRev DESC, cid DESC"
        # For speed: no function calls per block, lengths from a table, one join per part.
        pieces = [header]
        size = 0
        varints, decode = _VARINTS, libipld.decode_multibase
        with self._db.raw_rows(sql, params) as rows:
            for text, block in rows:
                length = _CID_BYTES + len(block)
                pieces += (varints[length], decode(text)[1], block)
                size += length
                if size >= CHUNK_BYTES:
                    yield b"".join(pieces)
                    pieces.clear()
                    size = 0
        if pieces:
            yield b"".join(pieces)

    def car_bytes(self) -> int:
        """Return the length of what `iter_car` yields in the same transaction. Use a thread."""
        blocks = self._db.value(_CAR_BYTES) or 0
        return len(encode_header((self.head().cid,))) + int(blocks)

    def read_commit(self, cid: Cid) -> Commit:
        """Return a commit that must exist. Raises `ActorStoreDamaged`."""
        try:
            return decode_commit(self.get_block(cid))
        except (MissingBlock, InvalidCommit) as exc:
            raise ActorStoreDamaged(self._did, str(exc)) from exc

    def _data_root(self, commit: Cid) -> Cid:
        if self._root is None or self._root[0] != commit:
            self._root = (commit, self.read_commit(commit).data)
        return self._root[1]


class RepoTransactor(RepoReader):
    """Writes the blocks of one actor. Every method needs an open transaction."""

    def put_blocks(self, blocks: Iterable[tuple[Cid, bytes]], rev: str) -> None:
        """Store blocks; a block that is already stored keeps its rev."""
        self._db.many(
            "INSERT OR IGNORE INTO repo_block (cid, repoRev, size, content) VALUES (?, ?, ?, ?)",
            [(str(cid), rev, len(block), block) for cid, block in blocks],
        )

    def delete_blocks(self, cids: Sequence[Cid]) -> None:
        """Delete blocks that are not records."""
        self._db.many("DELETE FROM repo_block WHERE cid = ?", [(str(cid),) for cid in cids])
        # Make room for nodes still part of a tree. After a rollback, they are read again.
        nodes = self._nodes
        for cid in cids:
            if cid.raw in nodes:
                del nodes[cid.raw]

    def delete_unused_records(self, cids: Iterable[Cid]) -> None:
        """Delete those record blocks that no record has any more."""
        self._db.many(
            "DELETE FROM repo_block WHERE cid = ?1"
            " AND NOT EXISTS (SELECT 1 FROM record WHERE cid = ?1)",
            [(str(cid),) for cid in cids],
        )

    def set_head(self, head: Head, *, data: Cid, indexed_at: str) -> None:
        """Make a commit, whose MST root is `data`, the current head."""
        self._db.run(
            "INSERT INTO repo_root (did, cid, rev, indexedAt) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (did) DO UPDATE"
            " SET cid = excluded.cid, rev = excluded.rev, indexedAt = excluded.indexedAt",
            (self._did, str(head.cid), head.rev, indexed_at),
        )
        self._root = (head.cid, data)


def _estimate_bytes(node: Node) -> int:
    return _NODE_OVERHEAD_BYTES + _NODE_FACTOR * len(node.block)
