"""The index of the pages of an LTX file, by which Litestream finds single pages in a bucket.

A record for each page: its number, where its header starts, and the length of header and data; all
as varints of 7 bits a byte, the lowest first. Then a 0, and the length of the index in 8 bytes.
"""

from __future__ import annotations

from typing import Final

_LENGTH_BYTES: Final = 8


def encode_record(page: int, offset: int, size: int) -> bytes:
    """Return the record of one page."""
    # Not a helper called three times: this runs once a page when reading, too.
    record = bytearray()
    for number in (page, offset, size):
        rest = number
        while rest > 0x7F:
            record.append(rest & 0x7F | 0x80)
            rest >>= 7
        record.append(rest)
    return bytes(record)


def encode_end(records_bytes: int) -> bytes:
    """Return what follows the records, which are `records_bytes` long."""
    return b"\0" + (records_bytes + 1).to_bytes(_LENGTH_BYTES, "big")
