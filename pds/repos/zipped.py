"""A ZIP file that is made while it is sent, and whose length is known before.

Nothing is compressed. The sum and the size of each file are behind it, since they come with its
bytes; every one is written so that it might be longer than 4 GiB.

Format: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
"""

from __future__ import annotations

import asyncio
import time
import zipfile
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from contextlib import suppress
from typing import Final
from zipfile import ZIP_STORED, ZipFile, ZipInfo

_PART_BYTES: Final = 256 * 1024
_FILE_MODE: Final = 0o644 << 16
_AROUND_FILE_BYTES: Final = (30 + 20) + 24
"""The header of a file, with the field for long ones, and the descriptor behind the file."""
_ENTRY_BYTES: Final = 46
_END_BYTES: Final = 22
_LONG_END_BYTES: Final = 56 + 20


class WrongSize(Exception):
    """A file has another size than was promised."""


def planned_file(name: str, size_bytes: int) -> ZipInfo:
    """Return what stands for a file of this size in the ZIP file; `name` is ASCII."""
    info = ZipInfo(name, time.gmtime()[:6])
    info.external_attr = _FILE_MODE
    info.file_size = size_bytes
    return info


def zip_bytes(files: Iterable[ZipInfo]) -> int:
    """Return the length of a ZIP file of `files`, in this order."""
    offset = directory = count = 0
    limit = zipfile.ZIP64_LIMIT
    for info in files:
        count += 1
        large = 2 * (info.file_size > limit) + (offset > limit)
        directory += _ENTRY_BYTES + len(info.filename) + (4 + 8 * large if large else 0)
        offset += _AROUND_FILE_BYTES + len(info.filename) + info.file_size
    is_long = count > zipfile.ZIP_FILECOUNT_LIMIT or offset > limit or directory > limit
    return offset + directory + _END_BYTES + (_LONG_END_BYTES if is_long else 0)


async def zipped(
    files: AsyncIterable[tuple[ZipInfo, AsyncIterable[bytes]]],
) -> AsyncIterator[bytes]:
    """Yield a ZIP file of planned files and their contents, part by part. Raises `WrongSize`."""
    sink = _Sink()
    archive = ZipFile(sink, "w", ZIP_STORED, allowZip64=True)
    try:
        async for info, parts in files:
            promised_bytes = info.file_size
            with archive.open(info, "w", force_zip64=True) as member:
                async for part in parts:
                    member.write(part)
                    yield sink.take()
            if info.file_size != promised_bytes:
                raise WrongSize(f"{info.filename}: {info.file_size} instead of {promised_bytes}")
        # The directory at the end takes a second for 100,000 files.
        await asyncio.to_thread(archive.close)
    except BaseException:
        # Nobody waits for the directory, without which the file is seen to be cut off.
        sink.refuse()
        with suppress(_Refused):
            archive.close()
        raise
    directory = sink.take()
    for start in range(0, len(directory), _PART_BYTES):
        yield directory[start : start + _PART_BYTES]


class _Refused(Exception):
    """The sink takes nothing more."""


class _Sink:
    """A file that cannot go back, and gives away what is written to it."""

    def __init__(self) -> None:
        self._written: list[bytes] = []
        self._refuses = False

    def write(self, part: bytes) -> int:
        if self._refuses:
            raise _Refused
        self._written.append(bytes(part))
        return len(part)

    def flush(self) -> None:
        """Nothing is kept from the reader."""

    def close(self) -> None:
        """There is no more."""

    def refuse(self) -> None:
        """Take nothing more."""
        self._refuses = True

    def take(self) -> bytes:
        parts, self._written = self._written, []
        return b"".join(parts)
