"""The canonical CAR of a repository: the commit, then the tree by key, each block once.

A reader gets every node before its subtrees, and the records in key order, so it needs no index.
Two exports of the same commit are the same bytes, whatever their source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol, TypeAlias

from pds.car.repo_file import record_block
from pds.car.verification import check_record
from repo.car import encode_block, encode_header
from repo.cid import Cid
from repo.mst import BlockSource, TreeNode, TreeRecord, stream_tree

OnRecord: TypeAlias = Callable[[TreeRecord, bytes], None]
"""Called with every record and its block."""


def ignore_record(record: TreeRecord, block: bytes) -> None:
    """Do nothing."""


class MarkableBlocks(BlockSource, Protocol):
    """Blocks that can be marked as used."""

    def mark(self, cid: Cid, /) -> bool:
        """Mark a block. Return False if it was already marked. Raises `MissingBlock`."""
        ...


def iter_car(
    root: Cid,
    commit_block: bytes,
    *,
    data: Cid,
    blocks: MarkableBlocks,
    on_record: OnRecord = ignore_record,
) -> Iterator[bytes]:
    """Yield the CAR of commit `root` over the tree `data` in parts: the header, then a block each.

    No block in `blocks` may be marked before. Checks everything except the signature and whether
    records are odd. Raises `InvalidRepo` and `MstError`; discard what was yielded until then.
    """
    yield encode_header([root])
    yield encode_block(root, commit_block)
    for item in stream_tree(data, blocks):
        if isinstance(item, TreeNode):
            yield encode_block(item.cid, item.block)
            continue
        block = record_block(item, blocks)
        check_record(item, block)
        on_record(item, block)
        # Equal records have equal CIDs.
        if blocks.mark(item.cid):
            yield encode_block(item.cid, block)
