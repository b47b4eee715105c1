"""A ZIP file has the length that was promised, whatever is in it."""

from __future__ import annotations

import zipfile
from collections.abc import AsyncIterator
from io import BytesIO
from zipfile import ZipFile, ZipInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pds.repos.zipped import WrongSize, planned_file, zip_bytes, zipped

SIZES = st.lists(st.integers(0, 300), max_size=12)


async def written(files: list[tuple[ZipInfo, bytes]]) -> bytes:
    async def once(part: bytes) -> AsyncIterator[bytes]:
        yield part

    async def each() -> AsyncIterator[tuple[ZipInfo, AsyncIterator[bytes]]]:
        for info, content in files:
            yield info, once(content)

    return b"".join([part async for part in zipped(each())])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(sizes=SIZES, limit=st.integers(0, 2000), count=st.integers(0, 12))
async def test_its_length_is_known_before_also_beyond_the_limits_of_the_format(
    monkeypatch: pytest.MonkeyPatch, sizes: list[int], limit: int, count: int
) -> None:
    """The limits, of 2 GiB and 65,535 files, are lowered."""
    files = [(planned_file(f"{'x' * n}", size), bytes(size)) for n, size in enumerate(sizes, 1)]
    with monkeypatch.context() as patch:
        patch.setattr(zipfile, "ZIP64_LIMIT", limit)
        patch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", count)
        promised = zip_bytes(info for info, _ in files)
        data = await written(files)
    assert len(data) == promised
    with ZipFile(BytesIO(data)) as archive:
        assert [(one.filename, one.file_size) for one in archive.infolist()] == [
            (info.filename, len(content)) for info, content in files
        ]
        assert archive.testzip() is None


@pytest.mark.parametrize("content", [b"", b"1", b"123"])
async def test_a_file_of_another_size_than_promised_breaks_it_off(content: bytes) -> None:
    with pytest.raises(WrongSize):
        await written([(planned_file("a", 2), content)])
