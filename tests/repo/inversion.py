"""Inverting a commit: the old root from the new tree's proof blocks and the operations.

This is how a consumer of Sync 1.1 checks a `#commit` event without holding the repository.

Spec: https://atproto.com/specs/sync
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

from repo.cid import Cid
from repo.mst import BlockSource, Mst


class InversionMismatch(Exception):
    """The new tree does not contain what the operations claim to have written."""


class RepoOp(Protocol):
    """One operation of a commit, as in `#commit` events."""

    @property
    def action(self) -> Literal["create", "update", "delete"]: ...
    @property
    def path(self) -> str: ...
    @property
    def cid(self) -> Cid | None: ...
    @property
    def prev(self) -> Cid | None: ...


def invert(root: Cid, blocks: BlockSource, ops: Sequence[RepoOp]) -> Cid:
    """Undo `ops` on the tree `root` and return the root before them.

    `blocks` may hold only the new nodes and the covering proofs. Raises `MissingBlock` if
    they do not suffice, `InversionMismatch` if an operation does not fit the tree, and
    `InvalidMst`.
    """
    tree = Mst.load(root, blocks)
    for op in reversed(ops):
        found = tree.get(op.path)
        if found != op.cid:
            raise InversionMismatch(f"{op.action} of {op.path} left {op.cid}, tree has {found}")
        tree = _undo(tree, op)
    return tree.root


def _undo(tree: Mst, op: RepoOp) -> Mst:
    if op.action == "create":
        if op.prev is not None:
            raise InversionMismatch(f"create of {op.path} has a previous record")
        return tree.delete(op.path)
    if op.prev is None:
        raise InversionMismatch(f"{op.action} of {op.path} has no previous record")
    if op.action == "update":
        return tree.update(op.path, op.prev)
    return tree.create(op.path, op.prev)
