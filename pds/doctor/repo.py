"""One repo: whether its commit is signed and current, its tree complete, its records indexed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import libipld

from database.connection import Database
from pds.disk.remedies import restore_database, restore_key
from pds.doctor.blocks import find_strays, scan_blocks
from pds.doctor.finding import Finding
from pds.doctor.record_index import compare_index
from repo.cid import Cid
from repo.commit import Commit, InvalidCommit, decode_commit
from repo.keys import PublicKey
from repo.mst import InvalidMst, MissingBlock, Node
from repo.mst.decode import decode_node
from repo.mst.walk import walk_forward

COMMIT: Final = "commit"
TREE: Final = "tree"
_BLOCK: Final = "SELECT content FROM repo_block WHERE cid = ?"


@dataclass(slots=True, frozen=True)
class RepoHead:
    """The row of `repo_root`: the CID of the current commit and its rev."""

    cid: str
    rev: str


@dataclass(slots=True, frozen=True)
class RepoState:
    """The contents of a repo; sizes are 0 if the tree is unreadable."""

    findings: tuple[Finding, ...]
    head: RepoHead | None = None
    blocks: int = 0
    records: int = 0


class _DamagedBlock(Exception):
    """The tree leads to a block that already has a finding."""


class _StoredNodes:
    """Nodes of the tree, each read once; only their CIDs are kept."""

    def __init__(self, db: Database, damaged: frozenset[str]) -> None:
        self._db = db
        self._damaged = damaged
        self.read: set[bytes] = set()

    def get_node(self, cid: bytes, /) -> Node:
        text = libipld.encode_multibase("b", cid)
        if text in self._damaged:
            raise _DamagedBlock
        block = self._db.value(_BLOCK, (text,))
        if block is None:
            raise MissingBlock(Cid(cid))
        self.read.add(cid)
        return decode_node(block, cid)

    def keep_node(self, cid: bytes, node: Node, /) -> None:
        """Keep nothing: a walk visits each node once."""


def find_head(db: Database, did: str) -> RepoHead | None:
    """Return the store's current head, or None."""
    row = db.one("SELECT cid, rev FROM repo_root WHERE did = ?", (did,))
    return None if row is None else RepoHead(*row)


def check_repo(db: Database, did: str, *, key: PublicKey | None, key_path: Path) -> RepoState:
    """Check every block and record of the repo. Without `key`, signatures are not verified.

    Stops at the first fault of which further ones would be mere consequences.
    """
    head = find_head(db, did)
    if head is None:
        return RepoState((_no_head(db, did),))
    scan = scan_blocks(db)
    state = RepoState(scan.findings, head, scan.count)
    if head.cid in scan.damaged:
        return state
    commit, finding = _read_commit(db, did, head)
    if commit is None:
        return _with(state, [*scan.findings, *finding])
    findings = [*scan.findings, *_check_signature(db, commit, head, key, key_path)]
    nodes = _StoredNodes(db, scan.damaged)
    try:
        index = compare_index(db, did, walk_forward(nodes, commit.data.raw))
    except _DamagedBlock:
        return _with(state, findings)
    except (MissingBlock, InvalidMst) as exc:
        return _with(state, [*findings, _broken_tree(db, exc)])
    differences = index.findings(db)
    findings += differences
    # A record that is not in the index would look like a stray.
    known = not differences and not scan.damaged
    strays = find_strays(db, head.cid, nodes.read) if known else None
    if strays is not None:
        findings.append(strays)
    return RepoState(tuple(findings), head, scan.count, index.records)


def _with(state: RepoState, findings: list[Finding]) -> RepoState:
    return RepoState(tuple(findings), state.head, state.blocks)


def _no_head(db: Database, did: str) -> Finding:
    others = [other for (other,) in db.all("SELECT did FROM repo_root LIMIT 3")]
    found = f"; it names {', '.join(others)}" if others else ""
    return Finding.error(
        COMMIT, db.path, f"has no current commit of {did}{found}", restore_database(db.path)
    )


def _read_commit(db: Database, did: str, head: RepoHead) -> tuple[Commit | None, list[Finding]]:
    """Return the current commit, or None with a finding that says why not."""
    block = db.value(_BLOCK, (head.cid,))
    if block is None:
        return None, [_bad_commit(db, head, "is missing")]
    try:
        commit = decode_commit(block)
    except InvalidCommit as exc:
        return None, [_bad_commit(db, head, f"cannot be read: {exc}")]
    if commit.did != did:
        return None, [_bad_commit(db, head, f"is one of {commit.did}")]
    if commit.rev > head.rev:
        return None, [_bad_commit(db, head, f"has rev {commit.rev}, but should have {head.rev}")]
    return commit, []


def _bad_commit(db: Database, head: RepoHead, fault: str) -> Finding:
    return Finding.error(
        COMMIT, db.path, f"the current commit {head.cid} {fault}", restore_database(db.path)
    )


def _check_signature(
    db: Database, commit: Commit, head: RepoHead, key: PublicKey | None, key_path: Path
) -> list[Finding]:
    if commit.rev < head.rev:
        return [_imported(db, head, commit)]
    if key is None or commit.verify(key):
        return []
    return [
        Finding.error(
            COMMIT,
            key_path,
            f"the key in this file ({key.did_key}) has not signed the current commit {head.cid} "
            "of the store beside it",
            "It must be the key that the DID document names. If it is, the store beside it is an "
            f"old or a foreign one: restore that. If not: {restore_key(key_path)}",
        )
    ]


def _imported(db: Database, head: RepoHead, commit: Commit) -> Finding:
    return Finding.warning(
        COMMIT,
        db.path,
        f"the current commit {head.cid} was imported: its rev is {commit.rev}, before {head.rev}, "
        "which this server gave to it",
        "Usual while an account moves in: it gets a commit of its own when it is activated. If "
        f"the account is active, `pds account deactivate {commit.did}` and `pds account activate "
        f"{commit.did}` make one.",
    )


def _broken_tree(db: Database, exc: MissingBlock | InvalidMst) -> Finding:
    message = f"records cannot all be reached: {exc}"
    return Finding.error(TREE, db.path, message, restore_database(db.path))
