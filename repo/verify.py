"""Checks of an untrusted repository: its root, its commit and its keys.

`repo.mst.stream_tree` checks the tree, and `repo.car` checks blocks against their CIDs. Every
reason names the CID at fault.

Spec: https://atproto.com/specs/repository
"""

from __future__ import annotations

from collections.abc import Sequence

from repo.car import CarReader
from repo.cid import DAG_CBOR, Cid
from repo.commit import Commit, InvalidCommit, decode_commit
from repo.mst import BlockSource, MissingBlock
from repo.syntax import InvalidSyntax, Nsid, Rkey, parse_did, parse_nsid, parse_rkey
from repo.tid import is_tid


class InvalidRepo(ValueError):
    """The blocks are not one repository. `cid` names the faulty block, if it is a single one."""

    def __init__(self, reason: str, *, cid: Cid | None = None) -> None:
        super().__init__(reason)
        self.cid = cid


def root_of(roots: Sequence[Cid]) -> Cid:
    """Return the CID of the commit: the only root of a repository's CAR. Raises `InvalidRepo`."""
    if len(roots) != 1:
        raise InvalidRepo(
            f"the CAR has {len(roots)} roots, but a repository has one, its commit: {_list(roots)}"
        )
    return roots[0]


def read_commit(root: Cid, blocks: BlockSource) -> tuple[Commit, bytes]:
    """Return the commit at the root, and its block. Raises `InvalidRepo`; verifies no signature."""
    _check_codec("commit", root)
    try:
        block = blocks.get_block(root)
    except MissingBlock as exc:
        raise InvalidRepo(f"the commit {root} is missing", cid=root) from exc
    commit = _decode_commit(root, block)
    _check_codec("tree", commit.data)
    return commit, block


def find_commit(car: CarReader) -> tuple[Cid, Commit]:
    """Return the root of an unread CAR, and its commit, which is mostly the first block.

    Raises `InvalidRepo` and `InvalidCar`; verifies no signature.
    """
    root = root_of(car.roots)
    for cid, block in car:
        if cid == root:
            return root, _decode_commit(root, block)
    raise InvalidRepo(f"the root {root} is not among the blocks", cid=root)


def split_key(key: str) -> tuple[Nsid, Rkey]:
    """Split an MST key into collection and rkey. Raises `InvalidSyntax`."""
    collection, _, rkey = key.partition("/")
    return parse_nsid(collection), parse_rkey(rkey)


def _decode_commit(root: Cid, block: bytes) -> Commit:
    try:
        commit = decode_commit(block)
        parse_did(commit.did)
    except (InvalidCommit, InvalidSyntax) as exc:
        raise InvalidRepo(f"the root {root} is no commit: {exc}", cid=root) from exc
    if not is_tid(commit.rev):
        raise InvalidRepo(f"the rev of commit {root} is not a TID: {commit.rev!r}", cid=root)
    return commit


def _check_codec(role: str, cid: Cid) -> None:
    """Refuse a CID with another codec than DAG-CBOR, under which the same block could hide."""
    if not cid.is_blessed or cid.codec != DAG_CBOR:
        raise InvalidRepo(f"the CID of the {role} is not one of DAG-CBOR: {cid}", cid=cid)


def _list(roots: Sequence[Cid]) -> str:
    shown = ", ".join(map(str, roots[:3]))
    return f"{shown}, …" if len(roots) > 3 else shown or "none"
