"""Counting what a CAR has before any of it is kept: whether its blocks can belong to a repository.

Every block of a repository but its commit is linked from a node of the tree. A CAR of millions of
tiny blocks that no node links to takes long to store, only to be thrown away; counted, it takes a
microsecond for each block.
"""

from __future__ import annotations

from typing import Final

from repo.car import ByteSource, CarReader
from repo.cid import BLESSED_LENGTH
from repo.record import has_node_form
from repo.verify import InvalidRepo

SPARE_BLOCKS: Final = 10_000
"""Blocks that a CAR may have beside those of its tree: other servers leave old ones in."""

_LINK: Final = b"\xd8\x2a\x58\x25\x00"
_LINK_BYTES: Final = len(_LINK) + BLESSED_LENGTH


def check_block_count(source: ByteSource, *, size_bytes: int, max_block_bytes: int) -> None:
    """Read a CAR of `size_bytes`, without hashing, and see that its blocks can be linked.

    There may be as many blocks as nodes have links, and `SPARE_BLOCKS` more. Raises `InvalidCar`,
    and `InvalidRepo` as soon as no number of links that may yet come can make up for the blocks.
    """
    links = read_bytes = 0
    reader = CarReader(source, max_block_bytes=max_block_bytes, verify=False)
    for blocks, (_, block) in enumerate(reader, 1):
        read_bytes += BLESSED_LENGTH + len(block)
        if has_node_form(block):
            links += block.count(_LINK)
        most_links = links + (size_bytes - read_bytes) // _LINK_BYTES
        if blocks > SPARE_BLOCKS + most_links:
            raise InvalidRepo("it has far more blocks than its tree can have")
