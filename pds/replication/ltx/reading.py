"""Reading an LTX file: from memory, or part by part from a local file.

Nothing of a file can be trusted before its last page has been read, for only then its checksum is
known. What callers do with pages must therefore be undone, or not yet be visible, when a reader
raises.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

from pds.replication.ltx.errors import DamagedLtx
from pds.replication.ltx.header import (
    CHECKSUM_BYTES,
    CHECKSUM_FLAG,
    HEADER_BYTES,
    TRAILER_BYTES,
    Header,
    decode_header,
    decode_trailer,
)
from pds.replication.ltx.libraries import (
    DecompressionError,
    checksum,
    decompress,
    decompress_frame,
)
from pds.replication.ltx.names import LtxName
from pds.replication.ltx.page_index import encode_end, encode_record

_PART_BYTES: Final = 256 * 1024
"""How much of a file is read at once; a merge has this much of each of its files in memory."""
_PAGE_HEADER: Final = struct.Struct(">IH")
_PAGE_START: Final = struct.Struct(">IHI")
_HAS_SIZE: Final = 1
_FRAME_EXTRA_BYTES: Final = 64
"""By how much an LZ4 frame may be longer than its block: header, sizes, checksums, end mark."""


@dataclass(slots=True, frozen=True)
class LtxSource:
    """An LTX file that is here, in memory or on disk."""

    path: str
    """What it is called in messages: its name in the replica."""
    data: bytes | Path
    name: LtxName | None = None
    """What its header must say, where the file has a name."""

    def size(self) -> int:
        """Return its length in bytes."""
        return len(self.data) if isinstance(self.data, bytes) else self.data.stat().st_size


class LtxReader:
    """Reads one LTX file. Every method raises `DamagedLtx`."""

    def __init__(self, source: LtxSource) -> None:
        self._path = source.path
        with ExitStack() as undo:
            data = source.data
            self._file: BinaryIO = (
                io.BytesIO(data) if isinstance(data, bytes) else data.open("rb", buffering=0)
            )
            undo.callback(self._file.close)
            self._bytes = source.size()
            self._start = self._file.read(HEADER_BYTES)
            self.header: Final[Header] = decode_header(self._start, source.path)
            name, header = source.name, self.header
            if name is not None and (name.first, name.last) != (header.first, header.last):
                raise DamagedLtx(
                    source.path, f"it has transactions {header.first:016x}-{header.last:016x}"
                )
            if self._bytes < self._least_bytes():
                # Before anyone makes room for its pages.
                raise DamagedLtx(source.path, f"it has only {self._bytes} bytes")
            undo.pop_all()
        self.is_complete = header.is_snapshot
        """Whether it has every page of the database; known when all pages have been read."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def _least_bytes(self) -> int:
        pages = self.header.pages - 1 if self.header.is_snapshot else 0
        return HEADER_BYTES + (pages + 1) * _PAGE_HEADER.size + len(encode_end(0)) + TRAILER_BYTES

    def pages(self) -> Iterator[tuple[int, bytes]]:
        """Yield numbers and contents of the pages, in order; once.

        Ends only if the whole file is what was written.
        """
        header, page_bytes = self.header, self.header.page_bytes
        enough = _PAGE_START.size + _largest_block(page_bytes) + _FRAME_EXTRA_BYTES
        buffer, at, buffer_offset = b"", 0, HEADER_BYTES
        seen = _Seen(crc=checksum(self._start, 0))
        follows_database = header.is_snapshot and header.has_checksums
        before = 0
        while True:
            if len(buffer) - at < enough:
                buffer_offset += at
                buffer, at = buffer[at:] + self._read(_PART_BYTES), 0
            if len(buffer) - at < _PAGE_START.size:
                raise DamagedLtx(self._path, "it ends within its pages")
            page, flags, size = _PAGE_START.unpack_from(buffer, at)
            if not page and not flags:
                break
            if not before < page <= header.pages or page == header.lock_page:
                raise DamagedLtx(self._path, f"page {page} of {header.pages} after page {before}")
            try:
                if flags == _HAS_SIZE:
                    data_at, end = at + _PAGE_START.size, at + _PAGE_START.size + size
                    content = (
                        decompress(buffer[data_at:end], page_bytes) if end - at < enough else b""
                    )
                else:
                    data_at = at + _PAGE_HEADER.size
                    content, size = decompress_frame(buffer[data_at : at + enough], page_bytes)
                    end, seen.only_blocks = data_at + size, False
            except DecompressionError as exc:
                raise DamagedLtx(self._path, f"page {page}: {exc}") from exc
            if len(content) != page_bytes or flags & ~_HAS_SIZE or end > len(buffer):
                raise DamagedLtx(self._path, f"page {page} is not {page_bytes} bytes")
            seen.crc = checksum(content, checksum(buffer[at:data_at], seen.crc))
            record = encode_record(page, buffer_offset + at, end - at)
            seen.index_crc = checksum(record, seen.index_crc)
            seen.index_bytes += len(record)
            if follows_database:
                seen.database ^= checksum(content, checksum(buffer[at : at + 4], 0))
            before, at = page, end
            seen.pages += 1
            yield page, content
        self._end(buffer[at:], buffer_offset + at, seen)

    def _end(self, rest: bytes, offset: int, seen: _Seen) -> None:
        """Check what follows the pages: `rest`, which starts at `offset`, is read already."""
        header, path = self.header, self._path
        complete = seen.pages == header.pages - (header.pages >= header.lock_page)
        if header.is_snapshot and not complete:
            raise DamagedLtx(path, f"a snapshot with {seen.pages} pages of {header.pages}")
        end = encode_end(seen.index_bytes)
        left = self._bytes - offset - _PAGE_HEADER.size - TRAILER_BYTES
        if seen.only_blocks and left != seen.index_bytes + len(end):
            raise DamagedLtx(path, "its index has not the length that its pages ask for")
        mark, rest = self._take(rest, _PAGE_HEADER.size)
        crc, index_crc = checksum(mark, seen.crc), 0
        while left > 0:
            size = min(left, _PART_BYTES)
            part, rest = self._take(rest, size)
            crc, index_crc = checksum(part, crc), checksum(part, index_crc)
            left -= size
        # Files of LZ4 frames are older, and their index has offsets of another kind.
        if seen.only_blocks and index_crc != checksum(end, seen.index_crc):
            raise DamagedLtx(path, "its index is not that of its pages")
        trailer, _ = self._take(rest, TRAILER_BYTES)
        checksum_after, file_checksum = decode_trailer(trailer)
        if file_checksum != CHECKSUM_FLAG | checksum(trailer[:CHECKSUM_BYTES], crc):
            raise DamagedLtx(path, "its checksum does not match")
        expected = CHECKSUM_FLAG | seen.database if header.is_snapshot else checksum_after
        if checksum_after != (expected if header.has_checksums else 0):
            raise DamagedLtx(path, "the database has another checksum")
        self.is_complete = complete

    def _take(self, rest: bytes, size: int) -> tuple[bytes, bytes]:
        """Return the next `size` bytes of the file and what remains of `rest`."""
        if len(rest) < size:
            rest += self._read(size - len(rest))
        if len(rest) < size:
            raise DamagedLtx(self._path, "it ends too early")
        return rest[:size], rest[size:]

    def _read(self, size: int) -> bytes:
        """Return the next `size` bytes, fewer at the end of the file."""
        parts = []
        while size and (part := self._file.read(size)):
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


@dataclass(slots=True)
class _Seen:
    """What the end of a file must fit."""

    crc: int
    """Of everything so far, pages uncompressed."""
    index_crc: int = 0
    """Of the records of the index, as the pages ask for it."""
    index_bytes: int = 0
    pages: int = 0
    only_blocks: bool = True
    database: int = 0
    """The checksum of the database, for files that have one."""


def _largest_block(page_bytes: int) -> int:
    """Return the length of an LZ4 block of a page that cannot be compressed."""
    return page_bytes + page_bytes // 255 + 16


def verify(source: LtxSource) -> Header:
    """Read a whole file and return its header. Raises `DamagedLtx`."""
    with LtxReader(source) as reader:
        for _ in reader.pages():
            pass
        return reader.header


def is_complete(source: LtxSource) -> bool:
    """Whether a file has every page of its database, also where its name does not tell.

    Litestream writes such files when it has lost track of a WAL. Raises `DamagedLtx`.
    """
    with LtxReader(source) as reader:
        for _ in reader.pages():
            pass
        return reader.is_complete
