"""Importing a repository: the rows of a CAR, written in one transaction of the actor's database.

1. Every block of the CAR is hashed and stored. The links it would have as a record are collected.
2. The root must be a commit of this actor, signed by one of the allowed keys.
3. The tree below it is walked in key order. The index of records has the same order, so comparing
   the two tells which records are new, changed or deleted.
4. The records get their links. Odd records, which no client may write, are stored unchanged and
   marked. Unreferenced blocks and blobs are deleted, and the commit becomes the head.

However large the CAR is, memory holds at most a batch of blocks, a bounded number of tree nodes
and a batch of keys. Any fault raises, and the caller's transaction is rolled back.

Like the reference PDS, this stores the commit unchanged, under a rev of this server. See
`ActorStoreTransactor.renew_commit` for one that consumers can verify.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeAlias

from actor_store.backlinks import backlinks_of
from actor_store.blobs import BlobChanges
from actor_store.bulk_rows import (
    BACKLINK_INDEX,
    BLOCK_INDEX,
    RECORD_INDEX,
    BlockBatch,
    BulkRows,
)
from database.collector import without_collector
from database.timestamps import now_iso
from repo.car import CarReader
from repo.cid import BLESSED_LENGTH, Cid
from repo.commit import Commit, Head, InvalidCommit, decode_commit
from repo.datamodel import iter_blob_refs, iter_legacy_blobs
from repo.mst import InvalidMst, MissingBlock, Mst, VerifiedWalk
from repo.mst.decode import decode_parts
from repo.odd_record import read_kept
from repo.record import (
    LARGE_BYTES,
    NODE_FORM,
    InvalidRecord,
    decode_record,
    has_node_form,
)
from repo.syntax import InvalidSyntax, has_lower_case_authority, parse_nsid, parse_rkey
from repo.tid import decode_tid, is_tid
from repo.verify import InvalidRepo

if TYPE_CHECKING:
    from actor_store.records import OddRecords
    from actor_store.transactor import ActorStoreTransactor
    from repo.car import ByteSource
    from repo.commit import Verifier
    from repo.dagcbor import Value
    from repo.mst import BlockSource

_BATCH_BYTES: Final = 4 * 1024 * 1024
_BLOCK_OVERHEAD_BYTES: Final = 150
"""Memory overhead of a block in a batch, beyond its bytes."""
_BATCH_RECORDS: Final = 10_000
_NODES_BYTES: Final = 32 * 1024 * 1024
"""Memory for the CAR's nodes, which the walk over the tree needs."""
_NODE_OVERHEAD_BYTES: Final = 220
_REASON_CHARACTERS: Final = 200
_BLOB_MARK: Final = b"mimeType"
"""Every record that refers to a blob, typed or legacy, has this key."""
_EMPTY_TREE: Final = Mst.empty().root
"""The root of the empty tree, a node that no other tree has."""
_MAX_AHEAD_US: Final = 24 * 3_600 * 1_000_000
"""How far in the future a commit may lie, because the other server's clock may differ."""

_Difference: TypeAlias = tuple[str, str | None, bool]
"""A record's key; its new CID, or None if deleted; whether it existed before."""


@dataclass(slots=True, frozen=True)
class ImportedRepo:
    """The commit that an import has made current, and the records below it."""

    head: Head
    records: int
    odd: OddRecords


def import_car(
    actor: ActorStoreTransactor,
    source: ByteSource,
    *,
    keys: Sequence[Verifier] | None,
    rev: str | None = None,
    on_batch: Callable[[], None] = lambda: None,
    postponed: Collection[str] = (),
) -> ImportedRepo:
    """Replace the repository of `actor` with the one in a CAR.

    The commit may be signed by any of `keys`; with None its signature is not looked at. Blocks that
    are stored already may be missing in the CAR. The repository is at a new rev, or at `rev`: that
    of the commit, where nobody will ever write another. `on_batch` is called after every batch,
    and ends the import by raising. `postponed` are indexes that are built at the end: with all of
    `UNORDERED_INDEXES` a large import into a new database, which is thrown away if it fails, takes
    half the time. Raises `InvalidCar`, `InvalidRepo` and `RepoNotFound`.
    """
    old = actor.repo.head()
    new_rev = actor.next_rev(old.rev)
    rows_rev = rev or new_rev
    with actor.bulk_rows() as rows:
        rows.postpone_indexes(postponed)
        car = _CarBlocks(rows, rows_rev)
        root = car.store(source, on_batch)
        commit = _read_commit(actor, root, keys, newest=new_rev)
        tree = _Tree(commit.data, _Nodes(car.nodes, rows, actor.repo))
        differences = _differences(tree.check(), rows.iter_records())
        # Runs while the tree is walked.
        rows.build_index(BLOCK_INDEX)
        _index(rows, differences, rows_rev, on_batch)
        car.nodes.clear()
        rows.build_index(RECORD_INDEX)
        _link(rows, car, rows_rev, actor.leftovers)
        rows.settle_odd(rows_rev, odd_authorities=tree.has_odd_authorities)
        rows.build_index(BACKLINK_INDEX)
        is_newest = rev is not None or commit.rev < rows_rev
        head = Head(root, rows_rev if is_newest else actor.next_rev(commit.rev))
        actor.repo.set_head(head, data=commit.data, indexed_at=now_iso())
        _delete_strays(actor, rows, tree, old=old, head=head)
    return ImportedRepo(head, tree.records, actor.record.odd())


# --- blocks


class _CarBlocks:
    """Stores the blocks of a CAR, and keeps the nodes among them for the walk of the tree."""

    def __init__(self, rows: BulkRows, rev: str) -> None:
        self._rows = rows
        self._rev = rev
        self._batch = BlockBatch()
        self._batch_bytes = 0
        self.bytes = 0
        """Total size of the blocks so far."""
        self.nodes: dict[bytes, bytes] = {}
        """Nodes by binary CID, as many as fit in memory."""
        self._room = _NODES_BYTES

    def store(self, source: ByteSource, on_batch: Callable[[], None]) -> Cid:
        """Store every block, which must hash to its CID. Return the root."""
        reader = CarReader(source)
        if len(reader.roots) != 1:
            raise InvalidRepo("expected one root")
        for cid, block in reader:
            text = str(cid)
            self._batch.blocks.append(text.encode() + block)
            if not has_node_form(block):
                self._note(text, block)
            elif not self._keep_node(cid.raw, block):
                self._batch.nodes.append(text)
            self._count(block)
            if self._batch_bytes >= _BATCH_BYTES:
                on_batch()
                self._flush()
        self._flush()
        self._rows.wait()
        return reader.roots[0]

    def note_stored(self) -> None:
        """Collect the links of records whose blocks were already stored (a partial CAR)."""
        last = ""
        for cid, key, block in self._rows.iter_not_in_car(self._rev):
            if block is None:
                raise _unreadable(key, cid, "it is not there")
            if cid != last:
                self._note(cid, block)
                self._count(block)
                last = cid
            if self._batch_bytes >= _BATCH_BYTES:
                self._flush()
                self._rows.wait()
        self._flush()

    def _note(self, cid: str, block: bytes) -> None:
        if len(block) < LARGE_BYTES:
            self._note_record(cid, block)
            return
        with without_collector():
            self._note_record(cid, block)

    def _note_record(self, cid: str, block: bytes) -> None:
        try:
            record = decode_record(block)
        except InvalidRecord as exc:
            reason = str(exc).encode("ascii", "replace").decode().replace("\0", "?")
            self._batch.odd.append(cid + reason[:_REASON_CHARACTERS])
            record = _read_odd(block)
        for link in backlinks_of(record):
            self._batch.add_link(cid, link)
        if _BLOB_MARK in block:
            self._batch.references += [cid + blob for blob in _blobs_of(record)]

    def _keep_node(self, cid: bytes, block: bytes) -> bool:
        """Keep a node in memory, if it fits."""
        self._room -= len(block) + _NODE_OVERHEAD_BYTES
        if self._room < 0:
            return False
        self.nodes[cid] = block
        return True

    def _count(self, block: bytes) -> None:
        self.bytes += len(block)
        self._batch_bytes += len(block) + _BLOCK_OVERHEAD_BYTES

    def _flush(self) -> None:
        self._rows.put_blocks(self._batch, self._rev)
        self._batch = BlockBatch()
        self._batch_bytes = 0


def _read_odd(block: bytes) -> dict[str, Value]:
    """Decode an odd record leniently. Empty if that fails, or if the record is large."""
    if len(block) >= LARGE_BYTES:
        # The lenient decoder holds the GIL to its end.
        return {}
    try:
        return read_kept(block)
    except InvalidRecord:
        return {}


def _blobs_of(record: Value) -> set[str]:
    return {str(ref.cid) for ref in iter_blob_refs(record)} | set(iter_legacy_blobs(record))


def parse_commit(root: Cid, block: bytes, *, did: str, keys: Sequence[Verifier] | None) -> Commit:
    """Decode the commit at the root of a CAR. Raises `InvalidRepo` unless it is this actor's.

    It may be signed by any of `keys`; None skips the check of the signature.
    """
    try:
        commit = decode_commit(block)
    except InvalidCommit as exc:
        raise InvalidRepo(f"the root {root} is no commit: {exc}") from exc
    if commit.did != did:
        raise InvalidRepo(f"the commit {root} is one of {commit.did:.200}, not of {did}")
    if not is_tid(commit.rev):
        raise InvalidRepo(f"the commit {root} has a rev that is no TID: {commit.rev!r}")
    if keys is not None and not any(commit.verify(key) for key in keys):
        raise InvalidRepo(f"the commit {root} is not signed by a key of {did}")
    return commit


def _read_commit(
    actor: ActorStoreTransactor, root: Cid, keys: Sequence[Verifier] | None, *, newest: str
) -> Commit:
    """Read the commit, which must be this actor's. `newest` is the rev that one made now gets."""
    try:
        block = actor.repo.get_block(root)
    except MissingBlock as exc:
        raise InvalidRepo(f"the root {root} is not among the blocks") from exc
    commit = parse_commit(root, block, did=actor.did, keys=keys)
    if decode_tid(commit.rev)[0] > decode_tid(newest)[0] + _MAX_AHEAD_US:
        raise InvalidRepo(f"the commit {root} has a rev of more than a day ahead: {commit.rev}")
    return commit


def _delete_strays(
    actor: ActorStoreTransactor, rows: BulkRows, tree: _Tree, *, old: Head, head: Head
) -> None:
    """Delete the blocks of the previous tree, and those of the CAR outside its tree."""
    # All that most imports leave: they are made into an empty repository.
    actor.repo.delete_unused_records({old.cid, _EMPTY_TREE} - {head.cid, tree.root})
    # No block is more than one of node, record and commit.
    if rows.count_blocks() != 1 + tree.nodes + rows.count_record_blocks():
        rows.delete_strays(head.cid, tree.iter_nodes())


# --- the tree


class _Nodes:
    """Blocks of the tree: kept from the CAR, or stored."""

    def __init__(self, kept: dict[bytes, bytes], rows: BulkRows, stored: BlockSource) -> None:
        self.kept = kept
        """By binary CID. No other block of the CAR equals one of these."""
        self._rows = rows
        self._stored = stored

    def get_block(self, cid: Cid, /) -> bytes:
        block = self.kept.get(cid.raw)
        if block is None:
            self._rows.wait()
            block = self._stored.get_block(cid)
        return block


class _Tree:
    """The imported tree; its blocks were hashed on arrival."""

    def __init__(self, root: Cid, blocks: _Nodes) -> None:
        self.root = root
        self._blocks = blocks
        self.nodes = 0
        self.records = 0
        self.has_odd_authorities = False

    def check(self) -> Iterator[tuple[str, str]]:
        """Yield key and CID of every record, in order. Raises `InvalidRepo` for any fault."""
        walk = VerifiedWalk(self.root, self._blocks)
        nodes = self._blocks.kept
        collection = ""
        try:
            for raw_key, cid in walk:
                key = raw_key.decode()
                before, _, rkey = key.partition("/")
                if before != collection:
                    collection = parse_nsid(before)
                    self.has_odd_authorities |= not has_lower_case_authority(collection)
                parse_rkey(rkey)
                if cid in nodes:
                    raise _unreadable(key, str(Cid(cid)), NODE_FORM)
                self.records += 1
                yield key, str(Cid(cid))
        except MissingBlock as exc:
            raise InvalidRepo(f"the tree node {exc.cid} is not among the blocks") from exc
        except (InvalidMst, InvalidSyntax) as exc:
            raise InvalidRepo(f"the tree is at fault at node {walk.current}: {exc}") from exc
        self.nodes = walk.nodes

    def iter_nodes(self) -> Iterator[Cid]:
        """Yield the CID of every node, once the tree has been checked."""
        waiting = [self.root]
        while waiting:
            cid = waiting.pop()
            yield cid
            links = decode_parts(self._blocks.get_block(cid), cid.raw).links
            waiting += [Cid(link) for link in links if link is not None]


# --- records


def _index(
    rows: BulkRows,
    differences: Iterator[_Difference],
    rev: str,
    on_batch: Callable[[], None],
) -> None:
    """Update the index of records to match the tree."""
    now = now_iso()
    while batch := list(islice(differences, _BATCH_RECORDS)):
        on_batch()
        rows.forget_links([key for key, _, replaces in batch if replaces])
        rows.remove_records([key for key, cid, _ in batch if cid is None])
        written = [cid + key for key, cid, _ in batch if cid is not None]
        if written:
            rows.put_records(written, rev=rev, indexed_at=now)


def _differences(
    new: Iterator[tuple[str, str]], old: Iterator[tuple[str, str]]
) -> Iterator[_Difference]:
    """Yield what changes the old records into the new ones, both in the order of their keys."""
    known = next(old, None)
    for key, cid in new:
        while known is not None and known[0] < key:
            yield known[0], None, True
            known = next(old, None)
        if known is None or known[0] != key:
            yield key, cid, False
            continue
        if known[1] != cid:
            yield key, cid, True
        known = next(old, None)
    while known is not None:
        yield known[0], None, True
        known = next(old, None)


def _link(rows: BulkRows, car: _CarBlocks, rev: str, leftovers: list[BlobChanges]) -> None:
    """Check that no new record is a tree node, and insert the records' links."""
    car.note_stored()
    found = rows.find_node_record(rev)
    if found is not None:
        cid, key = found
        raise _unreadable(key, cid, NODE_FORM)
    # Thousands of keys may share one record of a megabyte that refers to thousands of blobs.
    if rows.count_references() > car.bytes // BLESSED_LENGTH:
        raise InvalidRepo("records refer to more blobs than all blocks together can name")
    unused = rows.settle_links(rev)
    if unused:
        cids = tuple(Cid.parse(cid) for cid, _ in unused)
        leftovers.append(BlobChanges(cids, tuple(key for _, key in unused if key)))


def _unreadable(key: str, cid: str, reason: str) -> InvalidRepo:
    return InvalidRepo(f"Could not parse record at '{key}': block {cid}: {reason}")
