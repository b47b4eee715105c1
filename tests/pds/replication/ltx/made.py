"""LTX files that a test has made."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping

from pds.replication.ltx.header import Header, lock_page
from pds.replication.ltx.names import LtxFile, LtxName
from pds.replication.ltx.reading import LtxReader, LtxSource
from pds.replication.ltx.writing import LtxWriter


def make_ltx(
    first: int,
    last: int,
    pages: Mapping[int, bytes],
    *,
    length: int,
    page_bytes: int = 512,
    timestamp_ms: int = 0,
    path: str = "",
) -> LtxSource:
    """A file with these pages, after which the database has `length` pages."""
    memory = io.BytesIO()
    header = Header(
        page_bytes=page_bytes, pages=length, first=first, last=last, timestamp_ms=timestamp_ms
    )
    with LtxWriter(memory, header) as writer:
        for page in sorted(pages):
            writer.add(page, pages[page])
        assert writer.finish() == len(memory.getvalue())
    name = LtxName(0, first, last)
    return LtxSource(path or name.path("a.sqlite"), memory.getvalue(), name)


def whole(content: bytes, page_bytes: int = 512) -> dict[int, bytes]:
    """The pages of a database."""
    lock = lock_page(page_bytes)
    return {
        at // page_bytes + 1: content[at : at + page_bytes]
        for at in range(0, len(content), page_bytes)
        if at // page_bytes + 1 != lock
    }


def read_pages(source: LtxSource) -> dict[int, bytes]:
    """The pages of a file."""
    with LtxReader(source) as reader:
        return dict(reader.pages())


def listed(
    level: int, first: int, last: int, *, time_ms: int = 0, size: int = 1000, exact: bool = False
) -> LtxFile:
    """A file as a listing shows it; `exact`: the time in its header is known to be this one."""
    name = LtxName(level, first, last)
    path = name.path("a.sqlite")
    return LtxFile("a.sqlite", name, path, size, time_ms, time_ms if exact else None)


def up_to(files: Iterable[LtxFile], txid: int) -> list[LtxFile]:
    """The files without those that have a later transaction."""
    return [file for file in files if file.name.last <= txid]
