"""Writing an LTX file that Litestream accepts."""

from __future__ import annotations

import struct
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import BinaryIO, Final, Self

from pds.replication.ltx.header import (
    CHECKSUM_BYTES,
    CHECKSUM_FLAG,
    MAX_TXID,
    PAGE_SIZES,
    Header,
    encode_trailer,
)
from pds.replication.ltx.libraries import checksum, compress
from pds.replication.ltx.page_index import encode_end, encode_record

_PAGE_START: Final = struct.Struct(">IHI")
_HAS_SIZE: Final = 1
_END_OF_PAGES: Final = bytes(6)
_INDEX_IN_MEMORY_BYTES: Final = 4 * 1024 * 1024
"""The index of about 400,000 pages; a longer one goes through a temporary file."""
_PART_BYTES: Final = 1024 * 1024


class LtxWriter:
    """Writes one file: pages in order of their numbers, then `finish`.

    Raises `ValueError` for what Litestream would refuse: such a file would be found at a restore.
    """

    def __init__(self, file: BinaryIO, header: Header) -> None:
        if header.has_checksums or header.checksum_before:
            raise ValueError("files with checksums of the database are read only")
        if header.page_bytes not in PAGE_SIZES or not 1 <= header.first <= header.last <= MAX_TXID:
            raise ValueError("a header that no reader takes")
        self._file = file
        self._header = header
        self._index = SpooledTemporaryFile(  # noqa: SIM115 (closed by __exit__)
            max_size=_INDEX_IN_MEMORY_BYTES
        )
        self._index_bytes = 0
        self._before = 0
        self._pages = 0
        start = header.encode()
        file.write(start)
        self._offset = len(start)
        self._crc = checksum(start, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._index.close()

    def add(self, page: int, content: bytes) -> None:
        """Write a page; its number is greater than that of the page before it."""
        header = self._header
        if not self._before < page <= header.pages or page == header.lock_page:
            raise ValueError(f"page {page} of {header.pages} after page {self._before}")
        if len(content) != header.page_bytes:
            raise ValueError(f"{len(content)} bytes for a page of {header.page_bytes}")
        block = compress(content)
        start = _PAGE_START.pack(page, _HAS_SIZE, len(block))
        self._file.write(start)
        self._file.write(block)
        self._crc = checksum(content, checksum(start, self._crc))
        size = len(start) + len(block)
        record = encode_record(page, self._offset, size)
        self._index.write(record)
        self._index_bytes += len(record)
        self._offset += size
        self._before = page
        self._pages += 1

    def finish(self) -> int:
        """Write the end of the file, and return its length in bytes. Does not flush or sync it."""
        header = self._header
        if header.is_snapshot and self._pages != header.pages - (header.pages >= header.lock_page):
            raise ValueError(f"a snapshot with {self._pages} pages of {header.pages}")
        self._write(_END_OF_PAGES)
        self._index.seek(0)
        while part := self._index.read(_PART_BYTES):
            self._write(part)
        self._write(encode_end(self._index_bytes))
        trailer = encode_trailer(0, 0)
        crc = checksum(trailer[:CHECKSUM_BYTES], self._crc)
        self._file.write(encode_trailer(0, CHECKSUM_FLAG | crc))
        return self._offset + len(trailer)

    def _write(self, part: bytes) -> None:
        self._file.write(part)
        self._crc = checksum(part, self._crc)
        self._offset += len(part)
