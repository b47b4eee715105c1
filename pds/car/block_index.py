"""An index from CIDs to offsets in a file, in 12 to 24 bytes per block.

A hash table with open addressing in one array of 64-bit numbers. An entry holds the offset of a
block, a mark and some bits of its CID's hash. The CID itself is only in the file, so a hit must be
compared with it there.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Final

_OFFSET_BITS: Final = 36
MAX_OFFSET: Final = 2**_OFFSET_BITS - 1
"""Largest offset that fits an entry: files of up to 64 GiB."""

_MARK: Final = 1 << _OFFSET_BITS
_TAG_SHIFT: Final = _OFFSET_BITS + 1
_TAG_MASK: Final = 2 ** (64 - _TAG_SHIFT) - 1
_FIRST_SLOTS: Final = 1024


class BlockIndex:
    """A multimap from CIDs to offsets, each of which can be marked once."""

    __slots__ = ("_count", "_entries", "_limit", "_mask")

    def __init__(self) -> None:
        self._count = 0
        self._allocate(_FIRST_SLOTS)

    def __len__(self) -> int:
        return self._count

    def add(self, cid: bytes, offset: int) -> None:
        """Add the block of a binary CID at `offset`, 1 to `MAX_OFFSET`."""
        if self._count == self._limit:
            self._grow()
        # Python's hash of bytes depends on a secret of the process, so nobody can craft collisions.
        tag = hash(cid) & _TAG_MASK
        self._put(tag, tag << _TAG_SHIFT | offset)
        self._count += 1

    def slots(self, cid: bytes) -> list[int]:
        """Return the slots that may belong to `cid`: usually one, or none if it is absent."""
        entries, mask = self._entries, self._mask
        tag = hash(cid) & _TAG_MASK
        slot = tag & mask
        found = []
        while entry := entries[slot]:
            if entry >> _TAG_SHIFT == tag:
                found.append(slot)
            slot = slot + 1 & mask
        return found

    def offset(self, slot: int) -> int:
        """Return the offset stored in a slot."""
        return self._entries[slot] & MAX_OFFSET

    def mark(self, slot: int) -> bool:
        """Mark a slot. Return False if it was already marked. Adding blocks may move slots."""
        entry = self._entries[slot]
        self._entries[slot] = entry | _MARK
        return not entry & _MARK

    def clear_marks(self) -> None:
        """Clear all marks."""
        entries = self._entries
        for slot, entry in enumerate(entries):
            if entry & _MARK:
                entries[slot] = entry ^ _MARK

    def iter_unmarked(self) -> Iterator[int]:
        """Yield the offsets of unmarked blocks, in no particular order."""
        for entry in self._entries:
            if entry and not entry & _MARK:
                yield entry & MAX_OFFSET

    def _allocate(self, slots: int) -> None:
        self._entries = array("Q", [0]) * slots
        self._mask = slots - 1
        # Above a load of two thirds, searches for an empty slot become long.
        self._limit = slots * 2 // 3

    def _grow(self) -> None:
        old = self._entries
        self._allocate(2 * len(old))
        for entry in old:
            if entry:
                self._put(entry >> _TAG_SHIFT, entry)

    def _put(self, tag: int, entry: int) -> None:
        entries, mask = self._entries, self._mask
        slot = tag & mask
        while entries[slot]:
            slot = slot + 1 & mask
        entries[slot] = entry
