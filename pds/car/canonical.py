"""The canonical CAR of a repository: the commit first, then the tree by key, each block once.

A reader meets every node before its subtrees, and the records in the order of their keys, so it
needs no index. Two exports of the same commit are the same bytes, wherever they come from.
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
        """Mark a block. Return False if it was marked before. Raises `MissingBlock`."""
        ...


def iter_car(
    root: Cid,
    commit_block: bytes,
    *,
    data: Cid,
    blocks: MarkableBlocks,
    on_record: OnRecord = ignore_record,
) -> Iterator[bytes]:
    """Yield the CAR of commit `root` over the tree `data` in parts: the header, then each block.

    No block in `blocks` may be marked before. Everything is checked except the signature, and
    whether records are odd. Raises `InvalidRepo` and `MstError`; what was yielded is then unusable.
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
