"""Blocks of a CAR file by CID, with few of them in memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO, Final, NamedTuple

from pds.car.block_index import MAX_OFFSET, BlockIndex
from repo.car import CarParser, InvalidCar, decode_varint, encode_block
from repo.cid import BLESSED_LENGTH, Cid
from repo.mst import MissingBlock

_FIRST_READ_BYTES: Final = 2048
"""Enough for most blocks, so that one system call reads them."""
_LONG_ENOUGH: Final = 9 + BLESSED_LENGTH
"""Enough for the length and CID of any block."""


class Stray(NamedTuple):
    """A block that was not marked."""

    offset: int
    cid: Cid
    size: int
    """Size of the block itself, in bytes."""


class BlockFile:
    """Blocks in an open file in the CAR format; a `BlockSource`.

    A repeated block is indexed once.
    """

    def __init__(self, file: BinaryIO) -> None:
        """Start without blocks. `file` must be a real file; reading does not move its position."""
        self._fd = file.fileno()
        self._index = BlockIndex()
        self.repeated = 0
        """Number of repeated blocks."""

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, cid: Cid) -> bool:
        return self._find(cid) is not None

    def add(self, cid: Cid, offset: int) -> None:
        """Index the block that begins at `offset` in the file."""
        if self._find(cid) is not None:
            self.repeated += 1
            return
        if offset > MAX_OFFSET:
            raise InvalidCar("the file is larger than 64 GiB", offset)
        self._index.add(cid.raw, offset)

    def get_block(self, cid: Cid, /) -> bytes:
        """Read a block. Raises `MissingBlock`, and `InvalidCar` if the file was truncated."""
        return self._get(cid)[1]

    def take_block(self, cid: Cid) -> bytes:
        """Read a block and mark it."""
        slot, block = self._get(cid)
        self._index.mark(slot)
        return block

    def find_offset(self, cid: Cid) -> int | None:
        """Return the offset of the block in the file, or None."""
        slot = self._find(cid)
        return None if slot is None else self._index.offset(slot)

    def mark(self, cid: Cid) -> bool:
        """Mark a block. Return False if it was already marked. Raises `MissingBlock`."""
        slot = self._find(cid)
        if slot is None:
            raise MissingBlock(cid)
        return self._index.mark(slot)

    def clear_marks(self) -> None:
        """Clear all marks."""
        self._index.clear_marks()

    def iter_strays(self) -> Iterator[Stray]:
        """Yield the unmarked blocks, in no particular order."""
        for offset in self._index.iter_unmarked():
            head, start, end = self._read(offset, _LONG_ENOUGH)
            data_start = start + BLESSED_LENGTH
            yield Stray(offset, Cid(head[start:data_start]), end - data_start)

    def _get(self, cid: Cid) -> tuple[int, bytes]:
        """Return the slot and the block."""
        raw = cid.raw
        for slot in self._index.slots(raw):
            offset = self._index.offset(slot)
            head, start, end = self._read(offset, _FIRST_READ_BYTES)
            data_start = start + BLESSED_LENGTH
            if head[start:data_start] != raw:
                continue
            if end > len(head):
                head += os.pread(self._fd, end - len(head), offset + len(head))
            if end > len(head):
                raise _cut_off(offset)
            return slot, head[data_start:end]
        raise MissingBlock(cid)

    def _find(self, cid: Cid) -> int | None:
        raw = cid.raw
        for slot in self._index.slots(raw):
            head, start, _ = self._read(self._index.offset(slot), _LONG_ENOUGH)
            if head[start : start + BLESSED_LENGTH] == raw:
                return slot
        return None

    def _read(self, offset: int, size: int) -> tuple[bytes, int, int]:
        """Read up to `size` bytes; also return where in them the CID begins and the data ends."""
        head = os.pread(self._fd, size, offset)
        try:
            length, start = decode_varint(head)
        except ValueError as exc:
            raise _cut_off(offset) from exc
        if len(head) < start + BLESSED_LENGTH:
            raise _cut_off(offset)
        return head, start, start + length


class UsedBlocks:
    """A `BlockSource` that marks every block it returns, to identify the rest."""

    def __init__(self, blocks: BlockFile) -> None:
        """Clear the marks of earlier uses."""
        blocks.clear_marks()
        self._blocks = blocks

    def get_block(self, cid: Cid, /) -> bytes:
        """Read and mark a block. Raises `MissingBlock`."""
        return self._blocks.take_block(cid)


class CarScan:
    """Scans a CAR chunk by chunk while it is written to a file, and indexes its blocks.

    Every block is hashed. Raises `InvalidCar`.
    """

    def __init__(self, blocks: BlockFile) -> None:
        """`blocks` belongs to the file in which the CAR begins at byte 0."""
        self._blocks = blocks
        self._parser = CarParser()
        self._next: int | None = None
        """Offset of the next block, once the header is complete."""

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes, which must already be in the file."""
        found = self._parser.feed(chunk)
        if self._parser.header is None:
            return
        offset = self._next
        if offset is None:
            offset = self._parser.position - sum(_section_bytes(block) for _, block in found)
        for cid, block in found:
            self._blocks.add(cid, offset)
            offset += _section_bytes(block)
        self._next = offset

    def finish(self) -> tuple[Cid, ...]:
        """Call after the last chunk. Return the roots."""
        self._parser.finish()
        header = self._parser.header
        return () if header is None else header.roots


class BlockSpool(BlockFile):
    """Blocks that are written to a temporary file one by one, and are readable at once."""

    def __init__(self, file: BinaryIO) -> None:
        """`file` must be new, and open for reading and writing."""
        super().__init__(file)
        self._file = file
        # A filler byte, because the index uses offset 0 for an empty slot.
        self._end = self._file.write(b"\0")
        self._is_flushed = False

    def append(self, cid: Cid, block: bytes) -> None:
        """Write a block, unless it is already present."""
        before = self.repeated
        self.add(cid, self._end)
        if self.repeated == before:
            self._end += self._file.write(encode_block(cid, block))
            self._is_flushed = False

    def _get(self, cid: Cid) -> tuple[int, bytes]:
        self._flush()
        return super()._get(cid)

    def _find(self, cid: Cid) -> int | None:
        # Rarely needed: the index alone nearly always knows that a block is new.
        if self._index.slots(cid.raw):
            self._flush()
        return super()._find(cid)

    def _flush(self) -> None:
        if not self._is_flushed:
            self._file.flush()
            self._is_flushed = True


def _section_bytes(block: bytes) -> int:
    """Return the size of a block in a file, including its length and CID."""
    length = BLESSED_LENGTH + len(block)
    return length + (length.bit_length() + 6) // 7


def _cut_off(offset: int) -> InvalidCar:
    return InvalidCar("the file was cut off while it was read", offset)
