"""Blocks in files: found by their CIDs whatever their size, told apart from what is absent."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pds.car.block_file import BlockFile, BlockSpool, CarScan, UsedBlocks
from repo.car import InvalidCar, encode_block, encode_car, encode_header
from repo.cid import Cid
from repo.mst import MissingBlock

Block = tuple[Cid, bytes]
ROOT = Cid.of_dag_cbor(b"\xa0")
ABSENT = Cid.of_raw(b"absent")


def block(data: bytes) -> Block:
    return Cid.of_raw(data), data


def scanned(file: BinaryIO, car: bytes, chunk_bytes: int = 1000) -> BlockFile:
    file.write(car)
    file.flush()
    blocks = BlockFile(file)
    scan = CarScan(blocks)
    for start in range(0, len(car), chunk_bytes):
        scan.feed(car[start : start + chunk_bytes])
    assert scan.finish() == (ROOT,)
    return blocks


@pytest.fixture
def file() -> Iterator[BinaryIO]:
    with tempfile.TemporaryFile() as opened:
        yield opened


@given(
    st.lists(st.binary(max_size=300), unique=True, max_size=30),
    st.integers(1, 2000),
)
def test_every_block_of_a_car_is_found(contents: list[bytes], chunk_bytes: int) -> None:
    given_blocks = [block(data) for data in contents]
    with tempfile.TemporaryFile() as file:
        blocks = scanned(file, encode_car([ROOT], given_blocks), chunk_bytes)
        assert len(blocks) == len(given_blocks)
        for cid, data in given_blocks:
            assert cid in blocks
            assert blocks.get_block(cid) == data
        assert ABSENT not in blocks


@pytest.mark.parametrize("size", [0, 91, 92, 2009, 2010, 2011, 2012, 16_347, 16_348, 2_000_000])
def test_blocks_of_every_size_are_read_whole(file: BinaryIO, size: int) -> None:
    cid, data = block(b"x" * size)
    blocks = scanned(file, encode_car([ROOT], [block(b"before"), (cid, data), block(b"after")]))
    assert blocks.get_block(cid) == data
    assert blocks.get_block(Cid.of_raw(b"after")) == b"after"


def test_offsets_are_those_of_the_file(file: BinaryIO) -> None:
    cid, data = block(b"first")
    car = encode_car([ROOT], [(cid, data), block(b"second")])
    blocks = scanned(file, car)
    assert blocks.find_offset(cid) == len(encode_header([ROOT]))
    second = blocks.find_offset(Cid.of_raw(b"second"))
    assert second is not None
    assert car[second:] == encode_block(*block(b"second"))
    assert blocks.find_offset(ABSENT) is None


def test_what_is_absent_is_missing(file: BinaryIO) -> None:
    blocks = scanned(file, encode_car([ROOT], [block(b"x")]))
    for ask in (blocks.get_block, blocks.take_block, blocks.mark):
        with pytest.raises(MissingBlock) as missing:
            ask(ABSENT)
        assert missing.value.cid == ABSENT


def test_the_codec_belongs_to_the_name_of_a_block(file: BinaryIO) -> None:
    blocks = scanned(file, encode_car([ROOT], [block(b"\xa0")]))
    assert Cid.of_raw(b"\xa0") in blocks
    assert Cid.of_dag_cbor(b"\xa0") not in blocks


def test_a_repeated_block_is_kept_once_and_counted(file: BinaryIO) -> None:
    blocks = scanned(file, encode_car([ROOT], [block(b"x"), block(b"y"), block(b"x"), block(b"x")]))
    assert len(blocks) == 2
    assert blocks.repeated == 2


def test_what_was_not_used_is_told_with_its_place(file: BinaryIO) -> None:
    blocks = scanned(file, encode_car([ROOT], [block(b"used"), block(b"stray"), block(b"marked")]))
    UsedBlocks(blocks).get_block(Cid.of_raw(b"used"))
    assert blocks.mark(Cid.of_raw(b"marked"))
    assert not blocks.mark(Cid.of_raw(b"marked"))
    (stray,) = blocks.iter_strays()
    assert (stray.cid, stray.size) == (Cid.of_raw(b"stray"), 5)
    assert stray.offset == blocks.find_offset(stray.cid)
    UsedBlocks(blocks)
    assert sum(1 for _ in blocks.iter_strays()) == 3


def test_a_file_that_is_cut_off_meanwhile_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "a.car"
    contents = [b"x" * 5000, b"y" * 10]
    car = encode_car([ROOT], [block(data) for data in contents])
    with path.open("w+b") as file:
        blocks = scanned(file, car)
        for length in (len(car) - 30, 3000, 0):
            file.truncate(length)
            with pytest.raises(InvalidCar, match=r"cut off .* at byte"):
                list(map(blocks.get_block, [Cid.of_raw(data) for data in contents]))


def test_a_file_beyond_the_room_for_offsets_is_refused(file: BinaryIO) -> None:
    with pytest.raises(InvalidCar, match="64 GiB"):
        BlockFile(file).add(ROOT, 2**36)


@given(st.lists(st.binary(max_size=40), max_size=40))
def test_a_spool_gives_back_what_was_appended(contents: list[bytes]) -> None:
    with tempfile.TemporaryFile() as file:
        spool = BlockSpool(file)
        for data in contents:
            spool.append(*block(data))
            assert spool.get_block(Cid.of_raw(data)) == data
        assert len(spool) == len(set(contents))
        assert spool.repeated == len(contents) - len(set(contents))
        for data in contents:
            assert spool.get_block(Cid.of_raw(data)) == data
        assert ABSENT not in spool
