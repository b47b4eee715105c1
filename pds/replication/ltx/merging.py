"""Several LTX files as one: of each page the newest, none beyond the end of the database."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import BinaryIO, Final, cast

from pds.replication.ltx.errors import DamagedLtx
from pds.replication.ltx.header import Header
from pds.replication.ltx.reading import LtxReader, LtxSource
from pds.replication.ltx.writing import LtxWriter

MAX_SOURCES: Final = 200
"""How many files are read side by side: each may be open, and has a part in memory."""
_IN_MEMORY_BYTES: Final = 32 * 1024 * 1024
"""Databases of up to this size are put together in memory, which is faster."""


class Merged:
    """The pages of several files, oldest first, that follow each other; a context manager.

    Raises `DamagedLtx`, also for a file that does not follow the one before it.
    """

    def __init__(self, sources: Sequence[LtxSource]) -> None:
        if not 1 <= len(sources) <= MAX_SOURCES:
            raise ValueError(f"{len(sources)} files to merge")
        with ExitStack() as stack:
            self._readers = [stack.enter_context(LtxReader(source)) for source in sources]
            headers = [reader.header for reader in self._readers]
            for source, before, header in zip(sources[1:], headers, headers[1:], strict=False):
                check_follows(source.path, before, header)
            first, last = headers[0], headers[-1]
            self.header: Final = Header(
                page_bytes=first.page_bytes,
                pages=last.pages,
                first=first.first,
                last=last.last,
                # Not the greatest: Litestream does the same, and a clock that was put back has
                # to agree with the files that follow.
                timestamp_ms=last.timestamp_ms,
            )
            self._stack = stack.pop_all()

    def __enter__(self) -> Merged:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()

    def pages(self) -> Iterator[tuple[int, bytes]]:
        """Yield numbers and contents of the pages, in order.

        Ends only if all files are what was written; before that nothing is certain.
        """
        last_page = self.header.pages
        if last_page * self.header.page_bytes <= _IN_MEMORY_BYTES:
            found: dict[int, bytes] = {}
            for reader in reversed(self._readers):
                for page, content in reader.pages():
                    found.setdefault(page, content)
            yield from ((page, found[page]) for page in sorted(found) if page <= last_page)
            return
        # The newest file comes first among equal page numbers.
        streams = [
            _pages_with_age(reader, age) for age, reader in enumerate(reversed(self._readers))
        ]
        before = 0
        for page, _age, content in heapq.merge(*streams) if len(streams) > 1 else streams[0]:
            if page != before and page <= last_page:
                yield page, content
            before = page


def _pages_with_age(reader: LtxReader, age: int) -> Iterator[tuple[int, int, bytes]]:
    for page, content in reader.pages():
        yield page, age, content


def merge(
    sources: Sequence[LtxSource],
    file: BinaryIO,
    *,
    as_snapshot: bool = False,
    scratch: Path | None = None,
) -> tuple[Header, int]:
    """Write the files, oldest first, as one, and return its header and length in bytes.

    `as_snapshot`: the first file has every page, and so will the new one; it starts with
    transaction 1.

    More than `MAX_SOURCES` go through temporary files in `scratch`. Raises `DamagedLtx`; what has
    been written then is worthless.
    """
    with ExitStack() as stack:
        while len(sources) > MAX_SOURCES:
            part = stack.enter_context(NamedTemporaryFile(dir=scratch, suffix=".ltx"))
            merge(sources[:MAX_SOURCES], cast("BinaryIO", part))
            part.flush()
            merged_part = LtxSource(sources[MAX_SOURCES - 1].path, Path(part.name))
            sources = [merged_part, *sources[MAX_SOURCES:]]
        merged = stack.enter_context(Merged(sources))
        header = replace(merged.header, first=1) if as_snapshot else merged.header
        writer = stack.enter_context(LtxWriter(file, header))
        for page, content in merged.pages():
            writer.add(page, content)
        return header, _finish(writer, sources)


def _finish(writer: LtxWriter, sources: Sequence[LtxSource]) -> int:
    try:
        return writer.finish()
    except ValueError as exc:
        # All files are as they were written, but an increment lacks a page it should have.
        raise DamagedLtx(sources[-1].path, str(exc)) from exc


def check_follows(path: str, before: Header, header: Header) -> None:
    """Raise `DamagedLtx` for `path` unless a file goes on where the file `before` it ends."""
    if header.page_bytes != before.page_bytes:
        raise DamagedLtx(path, f"pages of {header.page_bytes} bytes after {before.page_bytes}")
    if not header.first <= before.last + 1 or header.last <= before.last:
        raise DamagedLtx(path, f"it does not follow transaction {before.last:016x}")
