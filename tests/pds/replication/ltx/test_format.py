"""Files as such: what is written is read, and no damage goes unnoticed."""

from __future__ import annotations

import io
import pickle
import struct
import tempfile
from dataclasses import replace
from pathlib import Path

import lz4.block
import lz4.frame
import pytest
from fastcrc import crc64
from hypothesis import given
from hypothesis import strategies as st

from pds.replication.errors import DamagedReplicaFile
from pds.replication.ltx import reading, writing
from pds.replication.ltx.errors import DamagedLtx
from pds.replication.ltx.header import CHECKSUM_FLAG, HEADER_BYTES, Header, decode_header
from pds.replication.ltx.names import LtxName
from pds.replication.ltx.page_index import encode_end, encode_record
from pds.replication.ltx.reading import LtxReader, LtxSource, is_complete, verify
from pds.replication.ltx.writing import LtxWriter
from tests.pds.replication.ltx.made import make_ltx, read_pages, whole

HEADER = Header(page_bytes=512, pages=3, first=2, last=2, timestamp_ms=0)

contents = st.one_of(
    st.binary(min_size=512, max_size=512),
    st.binary(min_size=1, max_size=8).map(lambda part: (part * 512)[:512]),
)


@given(st.dictionaries(st.integers(1, 300), contents, max_size=12))
def test_what_is_written_is_read_from_memory_and_from_disk(pages: dict[int, bytes]) -> None:
    source = make_ltx(2, 9, pages, length=300, timestamp_ms=1_700_000_000_123)
    assert read_pages(source) == pages
    with tempfile.NamedTemporaryFile() as file:
        assert isinstance(source.data, bytes)
        file.write(source.data)
        file.flush()
        on_disk = LtxSource("x", Path(file.name))
        assert read_pages(on_disk) == pages
        header = verify(on_disk)
    assert (header.first, header.last, header.pages) == (2, 9, 300)
    assert header.timestamp_ms == 1_700_000_000_123
    assert header == decode_header(header.encode(), "x")


def test_large_files_are_read_in_parts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(reading, "_PART_BYTES", 1000)
    monkeypatch.setattr(writing, "_INDEX_IN_MEMORY_BYTES", 100)
    pages = {page: bytes([page % 251]) * 512 for page in range(1, 2000)}
    source = make_ltx(1, 1, pages, length=1999)
    assert isinstance(source.data, bytes)
    path = tmp_path / "x.ltx"
    path.write_bytes(source.data)
    assert read_pages(LtxSource("x", path)) == pages


def test_every_changed_bit_is_noticed() -> None:
    pages = {1: b"a" * 512, 2: bytes(range(256)) * 2, 4: b"b" * 512}
    source = make_ltx(2, 3, pages, length=4)
    data = source.data
    assert isinstance(data, bytes)
    paths = set()
    for at in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[at] ^= 1 << bit
            try:
                found = read_pages(LtxSource("x.ltx", bytes(changed)))
            except DamagedLtx as exc:
                paths.add(exc.path)
            else:
                # An LZ4 block can have the same page in two forms, and only pages are checked.
                assert found == pages
    assert paths == {"x.ltx"}


def test_every_other_length_is_noticed() -> None:
    source = make_ltx(1, 1, whole(bytes(range(256)) * 6), length=3)
    data = source.data
    assert isinstance(data, bytes)
    for length in range(len(data)):
        with pytest.raises(DamagedLtx):
            verify(LtxSource("x.ltx", data[:length]))
    with pytest.raises(DamagedLtx):
        verify(LtxSource("x.ltx", data + b"\0"))
    assert verify(source).is_snapshot


@given(st.binary(max_size=300), st.integers(0, 400))
def test_noise_is_damage(noise: bytes, at: int) -> None:
    data = make_ltx(1, 1, whole(bytes(1024)), length=2).data
    assert isinstance(data, bytes)
    if (changed := data[:at] + noise) != data:
        with pytest.raises(DamagedReplicaFile):
            verify(LtxSource("x", changed))


def test_damage_found_by_another_process_is_told() -> None:
    exc = pickle.loads(pickle.dumps(DamagedLtx("x.ltx", "it is short")))  # noqa: S301
    assert (str(exc), exc.path) == ("x.ltx is damaged: it is short", "x.ltx")


def test_a_file_under_another_name_is_damage() -> None:
    source = make_ltx(2, 2, {}, length=1)
    with pytest.raises(DamagedLtx, match="0000000000000002-0000000000000002"):
        LtxReader(replace(source, name=LtxName(0, 3, 3)))


@pytest.mark.parametrize(
    "header",
    [
        replace(HEADER, page_bytes=1000),
        replace(HEADER, page_bytes=131072),
        replace(HEADER, page_bytes=0),
        replace(HEADER, pages=0),
        replace(HEADER, first=0),
        replace(HEADER, first=3),
        replace(HEADER, last=1 << 63),
        replace(HEADER, flags=4),
        replace(HEADER, flags=0),
        replace(HEADER, checksum_before=CHECKSUM_FLAG),
        replace(HEADER, wal_offset=-1),
        replace(HEADER, wal_bytes=-1),
    ],
)
def test_impossible_headers_are_damage(header: Header) -> None:
    with pytest.raises(DamagedLtx):
        decode_header(header.encode(), "x")


def test_a_snapshot_cannot_claim_more_pages_than_its_length_allows() -> None:
    data = make_ltx(1, 1, whole(bytes(1024)), length=2).data
    assert isinstance(data, bytes)
    header = replace(decode_header(data, "x"), pages=1 << 31)
    with pytest.raises(DamagedLtx, match="only"):
        LtxReader(LtxSource("x", header.encode() + data[HEADER_BYTES:]))


def test_what_litestream_would_refuse_is_not_written() -> None:
    page = bytes(512)
    for number, content in ((0, page), (4, page), (1, bytes(511))):
        with (
            LtxWriter(io.BytesIO(), HEADER) as writer,
            pytest.raises(ValueError, match=r"page|bytes"),
        ):
            writer.add(number, content)
    with LtxWriter(io.BytesIO(), HEADER) as writer:
        writer.add(2, page)
        with pytest.raises(ValueError, match="after page 2"):
            writer.add(2, page)
    with (
        LtxWriter(io.BytesIO(), replace(HEADER, first=1)) as writer,
        pytest.raises(ValueError, match="snapshot with 0 pages"),
    ):
        writer.finish()
    lock = replace(HEADER, pages=1 << 30)
    with LtxWriter(io.BytesIO(), lock) as writer, pytest.raises(ValueError, match="page"):
        writer.add(lock.lock_page, page)
    for wrong in (replace(HEADER, page_bytes=1000), replace(HEADER, flags=0, checksum_before=1)):
        with pytest.raises(ValueError, match=r"header|checksums"):
            LtxWriter(io.BytesIO(), wrong)


def test_a_file_with_every_page_is_complete_whatever_its_first_transaction() -> None:
    pages = whole(bytes(512 * 3))
    assert is_complete(make_ltx(5, 5, pages, length=3))
    assert is_complete(make_ltx(1, 5, pages, length=3))
    assert not is_complete(make_ltx(5, 5, {1: pages[1], 3: pages[3]}, length=3))


def old_file(pages: dict[int, bytes], *, checksums: bool) -> bytes:
    """A file as it was written before pages were single LZ4 blocks."""
    flags = 0 if checksums else 2
    data = replace(HEADER, first=1, pages=len(pages), flags=flags).encode()
    crc = crc64.go_iso(data)
    index, database = b"", CHECKSUM_FLAG
    for page, content in pages.items():
        start = struct.pack(">IH", page, 0)
        frame = lz4.frame.compress(content, content_checksum=True, store_size=False)
        index += encode_record(page, len(data), len(start) + len(frame))
        data += start + frame
        crc = crc64.go_iso(content, crc64.go_iso(start, crc))
        database = CHECKSUM_FLAG | database ^ crc64.go_iso(struct.pack(">I", page) + content)
    end = bytes(6) + index + encode_end(len(index))
    end += struct.pack(">Q", database if checksums else 0)
    return data + end + struct.pack(">Q", CHECKSUM_FLAG | crc64.go_iso(end, crc))


@pytest.mark.parametrize("checksums", [False, True])
def test_older_files_are_read(checksums: bool) -> None:
    pages = {1: b"a" * 512, 2: bytes(range(256)) * 2, 3: bytes(512)}
    data = old_file(pages, checksums=checksums)
    assert read_pages(LtxSource("x", data)) == pages
    for at in range(HEADER_BYTES, len(data)):
        changed = bytearray(data)
        changed[at] ^= 16
        try:
            assert read_pages(LtxSource("x", bytes(changed))) == pages
        except DamagedLtx:
            continue
    with pytest.raises(DamagedLtx):
        verify(LtxSource("x", data[:150]))


def test_pages_that_grow_without_end_are_damage() -> None:
    """A page of a gigabyte takes some megabytes as LZ4, and must not take memory."""
    block = lz4.block.compress(bytes(100_000), store_size=False)
    start = replace(HEADER, pages=1).encode() + struct.pack(">IHI", 1, 1, len(block)) + block
    with pytest.raises(DamagedLtx, match="page 1"):
        verify(LtxSource("x", start + bytes(1000)))
    frame = lz4.frame.compress(bytes(100_000))
    start = replace(HEADER, pages=1).encode() + struct.pack(">IH", 1, 0) + frame
    with pytest.raises(DamagedLtx, match="page 1"):
        verify(LtxSource("x", start + bytes(1000)))
