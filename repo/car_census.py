"""A census of a CAR before any of it is stored: can all its blocks belong to one repository?

Every block of a repository except its commit is linked from a tree node. A CAR with hundreds of
thousands of tiny unlinked blocks would take long to store, only to be thrown away. Counting costs
a microsecond per block.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Final, TypeAlias

from repo.car import ByteSource, CarReader
from repo.cid import BLESSED_LENGTH, Cid
from repo.record import has_node_form
from repo.verify import InvalidRepo

SPARE_BLOCKS: Final = 10_000
"""Blocks that a CAR may have beyond those of its tree: other servers leave old ones in."""

_LINK: Final = b"\xd8\x2a\x58\x25\x00"
_LINK_BYTES: Final = len(_LINK) + BLESSED_LENGTH
_A_LINK: Final = re.compile(re.escape(_LINK) + rb"(\x01[\x55\x71]\x12\x20.{32})", re.DOTALL)
"""Captures the link's binary CID."""
_NODES_BYTES: Final = 64 * 1024 * 1024
"""Memory for nodes, enough for a million records. Beyond it, only links are counted."""
_NODE_OVERHEAD_BYTES: Final = 220

Nodes: TypeAlias = Mapping[bytes, bytes]
"""Node blocks by binary CID."""


def take_census(
    source: ByteSource, *, size_bytes: int, max_block_bytes: int
) -> tuple[Cid, bytes] | None:
    """Read a CAR of `size_bytes` and check that its blocks can all belong to one tree.

    A CAR may have as many blocks as the nodes below its root have links, plus `SPARE_BLOCKS`. Only
    nodes are hashed. Returns the root's CID and block, or None if there is not exactly one root or
    its block is missing. Raises `InvalidCar`; raises `InvalidRepo` as soon as the rest of the CAR
    cannot hold enough links for the blocks already seen.
    """
    blocks = links = read_bytes = 0
    reader = CarReader(source, max_block_bytes=max_block_bytes, verify=False)
    root = reader.roots[0] if len(reader.roots) == 1 else None
    commit: bytes | None = None
    nodes: dict[bytes, bytes] = {}
    room = _NODES_BYTES
    for blocks, (cid, block) in enumerate(reader, 1):
        read_bytes += BLESSED_LENGTH + len(block)
        if has_node_form(block):
            links += block.count(_LINK)
            room -= len(block) + _NODE_OVERHEAD_BYTES
            if room >= 0 and _is_block_of(cid, block):
                nodes[cid.raw] = block
        elif cid == root and _is_block_of(cid, block):
            commit = block
        most_links = links + (size_bytes - read_bytes) // _LINK_BYTES
        if blocks > SPARE_BLOCKS + most_links:
            raise _too_many()
    if root is None or commit is None:
        return None
    if room >= 0 and blocks > SPARE_BLOCKS and blocks > SPARE_BLOCKS + _count_tree(commit, nodes):
        raise _too_many()
    return root, commit


def _count_tree(commit: bytes, nodes: Nodes) -> int:
    """Count the links in the commit and in all nodes reachable from it."""
    links = 0
    seen: set[bytes] = set()
    waiting = [commit]
    while waiting:
        found = _A_LINK.findall(waiting.pop())
        links += len(found)
        below = (nodes.keys() & found) - seen
        seen |= below
        waiting += [nodes[cid] for cid in below]
    return links


def _is_block_of(cid: Cid, block: bytes) -> bool:
    return cid.raw.endswith(hashlib.sha256(block).digest())


def _too_many() -> InvalidRepo:
    return InvalidRepo("it has far more blocks than its tree can have")
