"""The header and the trailer of an LTX file."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from pds.replication.ltx.errors import DamagedLtx

HEADER_BYTES: Final = 100
TRAILER_BYTES: Final = 16
CHECKSUM_BYTES: Final = 8
CHECKSUM_FLAG: Final = 1 << 63
"""Set in every checksum, so that none is 0."""
NO_CHECKSUM: Final = 2
"""The flag of a file that has no checksums of the whole database. Litestream writes no others."""
PAGE_SIZES: Final = frozenset(512 << n for n in range(8))
MAX_TXID: Final = (1 << 63) - 1

_MAGIC: Final = b"LTX1"
_PENDING_BYTE: Final = 1 << 30
_HEADER: Final = struct.Struct(">4sIIIQQqQqqIIQ20x")
_TRAILER: Final = struct.Struct(">QQ")


@dataclass(slots=True, frozen=True, kw_only=True)
class Header:
    """What an LTX file has."""

    page_bytes: int
    """The page size of the database."""
    pages: int
    """How many pages the database has after the last transaction of this file."""
    first: int
    """Its first transaction; with 1 it has every page of the database."""
    last: int
    timestamp_ms: int
    """When the last transaction was noticed, in Unix milliseconds."""
    checksum_before: int = 0
    wal_offset: int = 0
    """Where in the WAL the transactions were read; 0 in merged files, as are the next three."""
    wal_bytes: int = 0
    wal_salt1: int = 0
    wal_salt2: int = 0
    node: int = 0
    flags: int = NO_CHECKSUM

    @property
    def is_snapshot(self) -> bool:
        """Whether the file has every page of the database."""
        return self.first == 1

    @property
    def has_checksums(self) -> bool:
        """Whether the file tells the checksum of the whole database before and after it."""
        return not self.flags & NO_CHECKSUM

    @property
    def lock_page(self) -> int:
        """The number of the page at 1 GiB, which SQLite never uses, nor does any file have it."""
        return lock_page(self.page_bytes)

    def encode(self) -> bytes:
        """Return the first `HEADER_BYTES` of the file."""
        return _HEADER.pack(
            _MAGIC,
            self.flags,
            self.page_bytes,
            self.pages,
            self.first,
            self.last,
            self.timestamp_ms,
            self.checksum_before,
            self.wal_offset,
            self.wal_bytes,
            self.wal_salt1,
            self.wal_salt2,
            self.node,
        )


def lock_page(page_bytes: int) -> int:
    """Return the number of the page that has SQLite's lock bytes, at 1 GiB."""
    return _PENDING_BYTE // page_bytes + 1


def decode_header(data: bytes, path: str) -> Header:
    """Return the header at the start of `data`; `path` names the file in errors.

    Raises `DamagedLtx`.
    """
    if len(data) < HEADER_BYTES:
        raise DamagedLtx(path, "it is shorter than a header")
    magic, flags, page_bytes, pages, first, last, timestamp_ms, *rest = _HEADER.unpack_from(data)
    if magic != _MAGIC:
        raise DamagedLtx(path, "it does not start like an LTX file")
    before, wal_offset, wal_bytes, salt1, salt2, node = rest
    header = Header(
        page_bytes=page_bytes,
        pages=pages,
        first=first,
        last=last,
        timestamp_ms=timestamp_ms,
        checksum_before=before,
        wal_offset=wal_offset,
        wal_bytes=wal_bytes,
        wal_salt1=salt1,
        wal_salt2=salt2,
        node=node,
        flags=flags,
    )
    if (reason := _find_fault(header)) is not None:
        raise DamagedLtx(path, reason)
    return header


def _find_fault(header: Header) -> str | None:
    if header.flags & ~NO_CHECKSUM:
        return f"unknown flags {header.flags:#x}"
    if header.page_bytes not in PAGE_SIZES:
        return f"{header.page_bytes} is no page size"
    if header.pages == 0:
        return "a database without pages"
    if not 1 <= header.first <= header.last <= MAX_TXID:
        return f"transactions {header.first} to {header.last}"
    if header.wal_offset < 0 or header.wal_bytes < 0:
        return "a negative place in the WAL"
    if header.is_snapshot or not header.has_checksums:
        return "a checksum of nothing" if header.checksum_before else None
    if not header.checksum_before & CHECKSUM_FLAG:
        return "no checksum of the database before it"
    return None


def encode_trailer(checksum_after: int, file_checksum: int) -> bytes:
    """Return the last `TRAILER_BYTES` of a file."""
    return _TRAILER.pack(checksum_after, file_checksum)


def decode_trailer(data: bytes) -> tuple[int, int]:
    """Return the checksum of the database after a file, and the checksum of the file."""
    checksum_after, file_checksum = _TRAILER.unpack(data)
    return checksum_after, file_checksum
