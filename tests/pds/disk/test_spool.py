"""Bodies on disk: what each sender may take of it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

from pds.disk.spool import BodyTooLarge, Spool, SpoolFull, SpoolRoom
from pds.peers.encoding import decode, encode

_MIB: Final = 1024 * 1024


async def body(size_bytes: int) -> AsyncIterator[bytes]:
    for _ in range(size_bytes // 1024):
        yield bytes(1024)


class Disk:
    """A disk of 100 MiB on which nothing but spools takes room."""

    def __init__(self, room: SpoolRoom) -> None:
        self._room = room

    def __call__(self, _: int) -> os.statvfs_result:
        free = 100 * _MIB - self._room.used_bytes
        return os.statvfs_result((1, 1, 100 * _MIB, free, free, 0, 0, 0, 0, 255))


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> SpoolRoom:
    room = SpoolRoom()
    monkeypatch.setattr("pds.disk.spool.os.fstatvfs", Disk(room))
    return room


async def fill(spool: Spool, size_bytes: int) -> int:
    """Put in what there is room for, up to a size. Return how much that is."""
    with suppress(SpoolFull):
        await spool.fill(body(size_bytes), max_bytes=size_bytes)
    return spool.size_bytes


async def test_what_is_put_in_is_read_from_its_beginning(tmp_path: Path, room: SpoolRoom) -> None:
    with Spool(tmp_path, room, "me") as spool:
        await spool.fill(body(2048), max_bytes=2048)
        assert spool.size_bytes == room.used_bytes == 2048
        assert spool.read(4096) == bytes(2048)
        spool.rewind()
        assert spool.read(4096) == bytes(2048)
    assert room.used_bytes == 0


async def test_no_sender_takes_the_disk_from_the_others(tmp_path: Path, room: SpoolRoom) -> None:
    with Spool(tmp_path, room, "greedy") as first, Spool(tmp_path, room, "greedy") as second:
        took = await fill(first, 30 * _MIB) + await fill(second, 30 * _MIB)
        assert 40 * _MIB < took < 50 * _MIB
        with Spool(tmp_path, room, "another") as other:
            assert await fill(other, 20 * _MIB) == 20 * _MIB
    with Spool(tmp_path, room, "greedy") as again:
        assert await fill(again, 30 * _MIB) == 30 * _MIB


async def test_room_for_databases_stays(tmp_path: Path, room: SpoolRoom) -> None:
    with Spool(tmp_path, room, "others") as spool:
        await fill(spool, 200 * _MIB)
        with Spool(tmp_path, room, "more") as more:
            await fill(more, 200 * _MIB)
            assert room.used_bytes < 95 * _MIB


async def test_a_body_that_is_refused_takes_no_room(tmp_path: Path, room: SpoolRoom) -> None:
    with Spool(tmp_path, room, "me") as spool, pytest.raises(BodyTooLarge):
        await spool.fill(body(2 * _MIB), max_bytes=_MIB)
    assert room.used_bytes == 0


async def test_another_process_reads_a_spool_from_its_beginning(tmp_path: Path) -> None:
    with Spool(tmp_path, SpoolRoom(), "me") as spool:
        await spool.fill(body(2048), max_bytes=4096)
        elsewhere = decode(encode(spool))
        assert spool.read(4096) == bytes(2048)
        assert elsewhere.read(1024) + elsewhere.read(4096) == bytes(2048)
