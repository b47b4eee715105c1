"""Verification of a repository in a CAR whose blocks have been read.

A fault in a record is reported, and the check continues with the next record. A fault in the tree
ends the walk, because its subtrees are unknown. An odd record is not a fault: it is what was
signed.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pds.car.block_file import UsedBlocks
from pds.car.oddities import Oddities
from pds.car.repo_file import RepoFile, record_block
from pds.reporting import Progress, Sample, counted, no_progress
from repo.mst import MstError, TreeNode, TreeRecord, stream_tree
from repo.record import NODE_FORM, has_node_form
from repo.syntax import InvalidSyntax
from repo.verify import InvalidRepo, split_key

if TYPE_CHECKING:
    from repo.keys import PublicKey

CHECKING: Final = "checking"
_MAX_FAULTS: Final = 100
_MAX_STRAYS: Final = 3


@dataclass(slots=True)
class Verdict:
    """The result of a verification."""

    faults: list[str] = field(default_factory=list)
    """Each names a CID, a key or a byte of the file; the first 100."""
    fault_count: int = 0
    odd: Oddities = field(default_factory=Oddities)
    notes: list[str] = field(default_factory=list)
    """Harmless observations."""
    is_signed: bool | None = None
    """Whether the key signed the commit; None without a key."""
    records: int = 0
    nodes: int = 0

    @property
    def is_intact(self) -> bool:
        """Whether everything is present and as signed."""
        return self.fault_count == 0

    @property
    def is_sound(self) -> bool:
        """Whether it is intact, and clients may write all its records."""
        return self.is_intact and not self.odd.count

    def add_fault(self, reason: str) -> None:
        """Add a fault; beyond the first 100, faults are only counted."""
        self.fault_count += 1
        if self.fault_count <= _MAX_FAULTS:
            self.faults.append(reason)


def verify(repo: RepoFile, *, key: PublicKey | None, progress: Progress = no_progress) -> Verdict:
    """Check signature, tree, keys and records, and look for unreferenced blocks."""
    verdict = Verdict()
    if key is not None:
        verdict.is_signed = repo.commit.verify(key)
        if not verdict.is_signed:
            verdict.add_fault(f"the commit {repo.root} is not signed by {key.did_key}")
    used = UsedBlocks(repo.blocks)
    used.get_block(repo.root)
    try:
        for item in stream_tree(repo.commit.data, used):
            if isinstance(item, TreeNode):
                verdict.nodes += 1
                continue
            verdict.records += 1
            try:
                block = record_block(item, used)
                check_record(item, block)
                verdict.odd.look_at(item, block)
            except InvalidRepo as exc:
                verdict.add_fault(_with_offset(repo, exc))
            if verdict.records % 1000 == 0:
                progress(CHECKING, verdict.records + verdict.nodes, len(repo.blocks))
    except MstError as exc:
        verdict.add_fault(_with_offset(repo, exc))
    else:
        _note_strays(repo, verdict)
    return verdict


def check_record(record: TreeRecord, block: bytes) -> None:
    """Check a record's key, and that its block is not a tree node. Raises `InvalidRepo`."""
    reason = NODE_FORM if has_node_form(block) else None
    try:
        split_key(record.key)
    except InvalidSyntax as exc:
        reason = str(exc)
    if reason is not None:
        raise InvalidRepo(f"record {record.key} ({record.cid}): {reason}", cid=record.cid)


def _with_offset(repo: RepoFile, exc: InvalidRepo | MstError) -> str:
    """Return the message, with the offset of the block if it is in the file."""
    cid = getattr(exc, "cid", None)
    offset = None if cid is None else repo.blocks.find_offset(cid)
    return str(exc) if offset is None else f"{exc}, at byte {offset} of the CAR"


def _note_strays(repo: RepoFile, verdict: Verdict) -> None:
    strays = Sample()
    size = 0
    for stray in repo.blocks.iter_strays():
        strays.count += 1
        size += stray.size
    if strays:
        # The index orders them by a secret hash, so report those that come first in the file.
        first = heapq.nsmallest(_MAX_STRAYS, repo.blocks.iter_strays())
        strays.examples += [f"{stray.cid} at byte {stray.offset}" for stray in first]
        verdict.notes.append(
            f"{counted(strays.count, 'block')} of {size:,} bytes in no use: {strays}"
        )
    if repo.blocks.repeated:
        verdict.notes.append(f"{counted(repo.blocks.repeated, 'block')} repeated")
