"""The contents of a repository: its collections and blobs, and their sizes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from pds.car.blob_refs import BlobRefs, Share
from pds.car.block_file import UsedBlocks
from pds.car.repo_file import RepoFile, record_block
from pds.reporting import Progress, no_progress
from repo.mst import TreeNode, stream_tree

COUNTING: Final = "counting"


@dataclass(slots=True)
class Summary:
    """The contents of a repository."""

    collections: dict[str, Share] = field(default_factory=dict)
    """Records by collection, in key order. A record with two keys counts twice."""
    nodes: Share = field(default_factory=Share)
    unused: Share = field(default_factory=Share)
    """Unreferenced blocks."""
    blobs: Share = field(default_factory=Share)
    """Distinct blobs that records refer to, with sizes as claimed by the records."""

    @property
    def records(self) -> Share:
        """The total of all collections."""
        shares = self.collections.values()
        return Share(
            sum(share.count for share in shares), sum(share.size_bytes for share in shares)
        )


def summarize(repo: RepoFile, progress: Progress = no_progress) -> Summary:
    """Walk the tree and count every block.

    Records are not checked. Raises `InvalidRepo` and `MstError`.
    """
    summary = Summary()
    used = UsedBlocks(repo.blocks)
    used.get_block(repo.root)
    done = 0
    with BlobRefs() as blobs:
        for item in stream_tree(repo.commit.data, used):
            done += 1
            if done % 1000 == 0:
                progress(COUNTING, done, len(repo.blocks))
            if isinstance(item, TreeNode):
                summary.nodes.add(len(item.block))
                continue
            block = record_block(item, used)
            collection = item.key.partition("/")[0]
            summary.collections.setdefault(collection, Share()).add(len(block))
            blobs.add(item, block)
        summary.blobs = blobs.total()
    for stray in repo.blocks.iter_strays():
        summary.unused.add(stray.size)
    return summary
