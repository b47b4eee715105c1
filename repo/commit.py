"""Commits: the signed root of a repository, and how a batch of writes makes the next one.

Spec: https://atproto.com/specs/repository#commit-objects
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeAlias

from repo import dagcbor
from repo.cid import Cid
from repo.mst import KeyMissing, Mst

VERSION: Final = 3
_FIELDS: Final = frozenset(("did", "version", "data", "rev", "prev", "sig"))
_REV_LENGTH: Final = 13
_SIGNATURE_BYTES: Final = 64


Action: TypeAlias = Literal["create", "update", "delete"]


class InvalidCommit(ValueError):
    """The block is not a signed commit of repository version 3."""


class Signer(Protocol):
    """Anything that signs, such as a `repo.keys.PrivateKey`."""

    def sign(self, message: bytes, /) -> bytes:
        """Return the 64-byte compact low-S signature over the SHA-256 of `message`."""
        ...


class Verifier(Protocol):
    """Anything that verifies, such as a `repo.keys.PublicKey`."""

    def verify(self, message: bytes, signature: bytes, /) -> bool:
        """Whether `signature` is this key's signature over `message`."""
        ...


@dataclass(slots=True, frozen=True)
class Head:
    """The head of a repository: the current commit and its rev."""

    cid: Cid
    rev: str


@dataclass(slots=True, frozen=True)
class Commit:
    """The fields of a commit block; `data` is the root of the MST."""

    did: str
    rev: str
    data: Cid
    sig: bytes
    prev: Cid | None = None

    def verify(self, public_key: Verifier) -> bool:
        """Whether `sig` is the signature of `public_key` over the other fields."""
        message = dagcbor.encode_checked(_unsigned(self.did, self.rev, self.data, self.prev))
        return public_key.verify(message, self.sig)


@dataclass(slots=True, frozen=True)
class SignedCommit:
    """A commit with its block and that block's CID."""

    cid: Cid
    block: bytes
    commit: Commit


@dataclass(slots=True, frozen=True)
class RecordWrite:
    """A requested change to one record. A delete has neither `cid` nor `block`."""

    action: Action
    collection: str
    rkey: str
    cid: Cid | None = None
    block: bytes | None = None
    """The record in DAG-CBOR; it hashes to `cid`."""

    @property
    def path(self) -> str:
        """The key in the MST."""
        return f"{self.collection}/{self.rkey}"


@dataclass(slots=True, frozen=True)
class RecordOp:
    """A change made by a commit, as listed in `#commit` events."""

    action: Action
    path: str
    cid: Cid | None
    """The record now; None for a delete."""
    prev: Cid | None
    """The record before; None for a create."""


@dataclass(slots=True, frozen=True)
class CommitData:
    """A commit, the blocks to store and delete for it, and the contents of its event."""

    did: str
    cid: Cid
    rev: str
    since: str | None
    """The previous rev; None for a first commit."""
    data: Cid
    prev_data: Cid | None
    """The previous MST root; None for a first commit."""
    block: bytes
    """The commit block."""
    ops: tuple[RecordOp, ...]
    """The net changes: each record once, however often it was written."""
    new_blocks: dict[Cid, bytes]
    """Blocks to store: MST nodes, the records in `ops`, the commit. A record may already be stored.
    """
    removed_cids: tuple[Cid, ...]
    """Blocks no longer referenced: MST nodes and the previous commit, but no records."""
    event_blocks: dict[Cid, bytes]
    """Blocks of the `#commit` event: `new_blocks`, then the covering proof of each op."""


def sign_commit(did: str, *, data: Cid, rev: str, key: Signer) -> SignedCommit:
    """Sign a commit of MST root `data` at `rev`; `prev` is null, as in every commit today."""
    fields = _unsigned(did, rev, data, None)
    sig = key.sign(dagcbor.encode_checked(fields))
    block = dagcbor.encode_checked({**fields, "sig": sig})
    return SignedCommit(Cid.of_dag_cbor(block), block, Commit(did, rev, data, sig))


def build_commit(
    did: str,
    *,
    tree: Mst,
    head: Head | None,
    writes: Sequence[RecordWrite],
    rev: str,
    key: Signer,
) -> CommitData:
    """Apply `writes` in order to `tree`, the stored tree of `head`, and sign the result.

    For a repository's first commit, `head` is None and `tree` is the empty tree. `rev` must be
    greater than that of `head`. Stores nothing except nodes in the tree's cache. Raises `KeyExists`
    and `KeyMissing` for a write that does not fit the tree, and any error from reading the tree.
    """
    after = tree
    made: list[RecordOp] = []
    for write in writes:
        after, op = _apply(after, write)
        made.append(op)
    ops = _net(made)
    changes = after.changes_since(None if head is None else tree)
    signed = sign_commit(did, data=after.root, rev=rev, key=key)
    new_blocks = dict(changes.added)
    records = {write.cid: write.block for write in writes}
    for op in ops:
        block = records[op.cid]
        if op.cid is not None and block is not None:
            new_blocks[op.cid] = block
    new_blocks[signed.cid] = signed.block
    event_blocks = dict(new_blocks)
    for op in ops:
        event_blocks.update(after.covering_proof(op.path))
    after.settled()
    return CommitData(
        did=did,
        cid=signed.cid,
        rev=rev,
        since=None if head is None else head.rev,
        data=after.root,
        prev_data=None if head is None else tree.root,
        block=signed.block,
        ops=ops,
        new_blocks=new_blocks,
        removed_cids=changes.removed if head is None else (head.cid, *changes.removed),
        event_blocks=event_blocks,
    )


def _apply(tree: Mst, write: RecordWrite) -> tuple[Mst, RecordOp]:
    path, cid = write.path, write.cid
    prev = None if write.action == "create" else tree.get(path)
    if prev is None and write.action != "create":
        raise KeyMissing(path)
    if write.action == "delete":
        return tree.delete(path), RecordOp("delete", path, None, prev)
    if cid is None:
        raise ValueError(f"{write.action} of {path} without a record")
    tree = tree.create(path, cid) if prev is None else tree.update(path, cid)
    return tree, RecordOp(write.action, path, cid, prev)


def _net(ops: Sequence[RecordOp]) -> tuple[RecordOp, ...]:
    """Return the net effect of `ops` on each record, ordered by the first op on that record.

    A batch may write a record twice, but relays refuse a commit that lists a path twice, and
    consumers refuse one that lists an update of an unchanged record.
    """
    by_path: dict[str, tuple[RecordOp, RecordOp]] = {}
    for op in ops:
        first, _ = by_path.get(op.path, (op, op))
        by_path[op.path] = (first, op)
    return tuple(_joined(first, last) for first, last in by_path.values() if first.prev != last.cid)


def _joined(first: RecordOp, last: RecordOp) -> RecordOp:
    if first is last:
        return first
    action: Action = "update"
    if first.prev is None:
        action = "create"
    elif last.cid is None:
        action = "delete"
    return RecordOp(action, first.path, last.cid, first.prev)


def decode_commit(block: bytes) -> Commit:
    """Read a commit block; the signature is not verified. Raises `InvalidCommit`."""
    try:
        fields = dagcbor.decode(block)
    except ValueError as exc:
        raise InvalidCommit(f"commit is not DAG-CBOR: {exc}") from exc
    if type(fields) is not dict or fields.keys() != _FIELDS:
        raise InvalidCommit("commit is not a map of did, version, data, rev, prev and sig")
    version, did, rev = fields["version"], fields["did"], fields["rev"]
    data, prev, sig = fields["data"], fields["prev"], fields["sig"]
    if type(version) is not int or version != VERSION:
        raise InvalidCommit(f"commit has version {version!r}, not {VERSION}")
    if type(did) is not str or not did.startswith("did:"):
        raise InvalidCommit("commit has no DID")
    if type(rev) is not str:
        raise InvalidCommit("commit has no rev")
    if len(rev) != _REV_LENGTH:
        raise InvalidCommit(
            f"commit has a rev of {len(rev)} characters, not of {_REV_LENGTH}: {rev:.40}"
        )
    if type(data) is not Cid or not (prev is None or type(prev) is Cid):
        raise InvalidCommit("commit has no link to its data")
    if type(sig) is not bytes or len(sig) != _SIGNATURE_BYTES:
        raise InvalidCommit("commit has no signature")
    return Commit(did, rev, data, sig, prev)


def _unsigned(did: str, rev: str, data: Cid, prev: Cid | None) -> dict[str, dagcbor.Value]:
    return {"did": did, "version": VERSION, "data": data, "rev": rev, "prev": prev}
