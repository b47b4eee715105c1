"""Merkle search trees: the index of a repository, from record keys to record CIDs.

    key             which keys are allowed, and their layers
    node            immutable nodes       encode, decode   their blocks
    store           nodes by CID, behind a cache
    search          the path to a key     insert, remove   edits along it
    walk, proof     reading a tree        changes, diff    comparing two
    tree            `Mst`, which joins all these
    build, verify   whole trees           stream           a whole tree, block by block

A node holds keys of one layer; the subtrees in the gaps between them are one layer down.
The layer of a key follows from its hash, so a set of records has exactly one tree.

Spec: https://atproto.com/specs/repository#mst-structure
"""

from repo.mst.build import build_blocks
from repo.mst.changes import NodeChanges
from repo.mst.errors import (
    InvalidMst,
    KeyExists,
    KeyMissing,
    MissingBlock,
    MstError,
    NodeTooLarge,
)
from repo.mst.node import Node
from repo.mst.store import (
    BlockSource,
    CachedNodeStore,
    MemoryBlocks,
    NodeStore,
    UncachedNodeStore,
)
from repo.mst.stream import TreeNode, TreeRecord, stream_tree
from repo.mst.tree import Mst
from repo.mst.verify import VerifiedWalk

__all__ = [
    "BlockSource",
    "CachedNodeStore",
    "InvalidMst",
    "KeyExists",
    "KeyMissing",
    "MemoryBlocks",
    "MissingBlock",
    "Mst",
    "MstError",
    "Node",
    "NodeChanges",
    "NodeStore",
    "NodeTooLarge",
    "TreeNode",
    "TreeRecord",
    "UncachedNodeStore",
    "VerifiedWalk",
    "build_blocks",
    "stream_tree",
]
