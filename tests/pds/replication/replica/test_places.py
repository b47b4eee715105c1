"""What every place of a replica promises: the same for a directory, a bucket and an SSH server."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pds.replication.errors import DamagedReplicaFile, ReplicaFileMissing, ReplicaRefused
from pds.replication.replica.names import actor_database
from pds.replication.replica.place import ReplicaPlace
from pds.replication.replica.s3_place import S3Place

DATABASE = actor_database("did:web:localhost%3A2583")
LTX = f"{DATABASE}/ltx/0/0000000000000001-0000000000000002.ltx"
SNAPSHOT = f"{DATABASE}/ltx/9/0000000000000001-0000000000000009.ltx"
LARGE = bytes(range(256)) * 4096 * 17
"""17 MiB: three parts on S3."""


async def names(place: ReplicaPlace, prefix: str = "") -> list[str]:
    return [file.name async for file in place.list(prefix)]


async def test_an_empty_place_has_no_files(place: ReplicaPlace) -> None:
    assert await names(place) == []
    assert await names(place, "actors/") == []


async def test_a_file_is_read_as_it_was_written(place: ReplicaPlace) -> None:
    await place.write("manifest.json", b"one")
    await place.write(LTX, b"two", timestamp_ms=1_700_000_000_123)
    await place.write("manifest.json", b"three")
    await place.write("empty", b"")
    assert await place.read("manifest.json", max_bytes=5) == b"three"
    assert await place.read(LTX, max_bytes=100) == b"two"
    assert await place.read("empty", max_bytes=0) == b""


async def test_the_start_of_a_file_is_read_alone(place: ReplicaPlace) -> None:
    await place.write("manifest.json", b"123456")
    await place.write("empty", b"")
    assert await place.read_start("manifest.json", 3) == b"123"
    assert await place.read_start("manifest.json", 100) == b"123456"
    assert await place.read_start("empty", 3) == b""
    with pytest.raises(ReplicaFileMissing):
        await place.read_start("missing", 3)


async def test_a_missing_file_is_called_missing(place: ReplicaPlace, tmp_path: Path) -> None:
    for name in ("manifest.json", LTX, "a/b/c"):
        with pytest.raises(ReplicaFileMissing):
            await place.read(name, max_bytes=100)
        with pytest.raises(ReplicaFileMissing):
            await place.download(name, tmp_path / "file")
    assert not (tmp_path / "file").exists()


async def test_a_file_that_is_longer_than_allowed_is_damaged(place: ReplicaPlace) -> None:
    await place.write("lease.json", b"123456")
    with pytest.raises(DamagedReplicaFile, match=r"lease\.json has more than 5 bytes"):
        await place.read("lease.json", max_bytes=5)


async def test_names_come_in_order_of_their_characters(place: ReplicaPlace) -> None:
    stored = [
        *("account.sqlite/ltx/0/0000000000000001-0000000000000001.ltx", "manifest.json"),
        *("blobs/did:plc:b/y", "blobs/did:plc:a/x", "blobs/did:plc:a/w", "blobs/quarantine/q/x"),
        *(LTX, SNAPSHOT, f"{DATABASE}/ltx/1/0000000000000003-0000000000000004.ltx"),
    ]
    for name in stored:
        await place.write(name, name.encode())
    assert await names(place) == sorted(stored)
    async for file in place.list():
        assert file.size == len(file.name)


@pytest.mark.parametrize(
    "prefix",
    [
        *("actors/", "act", DATABASE, f"{DATABASE}/", f"{DATABASE}/l", f"{DATABASE}/ltx"),
        *(f"{DATABASE}/ltx/", f"{DATABASE}/ltx/9", f"{DATABASE}/ltx/9/", f"{DATABASE}/ltx/9/0"),
        *(f"{DATABASE}/ltx/7/", f"{DATABASE}/lx", f"{DATABASE}/0009/", SNAPSHOT, "manifest", "z"),
    ],
)
async def test_a_listing_has_the_names_with_its_prefix_and_no_others(
    place: ReplicaPlace, prefix: str
) -> None:
    stored = [LTX, SNAPSHOT, "actors/reserved_keys/did:plc:a.age", "manifest.json"]
    for name in stored:
        await place.write(name, b"")
    assert await names(place, prefix) == sorted(n for n in stored if n.startswith(prefix))


async def test_more_files_than_a_page_are_listed_once_each(place: ReplicaPlace) -> None:
    # Pages have 300 names on S3, and 128 of SFTP.
    count = 620 if isinstance(place, S3Place) else 270
    stored = [f"blobs/did:plc:a/{number:04}" for number in range(count)]
    for first in range(0, len(stored), 62):
        await asyncio.gather(*(place.write(name, b"x") for name in stored[first : first + 62]))
    assert await names(place, "blobs/") == stored


async def test_a_file_is_replaced_only_if_it_is_as_expected(place: ReplicaPlace) -> None:
    assert not await place.write_if_same("lease.json", b"1", before=b"0")
    assert await place.write_if_same("lease.json", b"1", before=None)
    assert not await place.write_if_same("lease.json", b"2", before=None)
    assert not await place.write_if_same("lease.json", b"2", before=b"11")
    assert not await place.write_if_same("lease.json", b"2", before=b"")
    assert await place.read("lease.json", max_bytes=9) == b"1"
    assert await place.write_if_same("lease.json", b"2", before=b"1")
    assert await place.read("lease.json", max_bytes=9) == b"2"


async def test_of_several_that_create_a_file_at_once_one_succeeds(place: ReplicaPlace) -> None:
    tries = [place.write_if_same("lease.json", b"%d" % n, before=None) for n in range(8)]
    succeeded = await asyncio.gather(*tries)
    assert sum(succeeded) == 1
    assert await place.read("lease.json", max_bytes=9) == b"%d" % succeeded.index(True)


async def test_large_files_go_up_and_come_down_whole(place: ReplicaPlace, tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(LARGE)
    target.write_bytes(b"what was there before")
    assert await place.upload(SNAPSHOT, source, timestamp_ms=1_700_000_000_000) == len(LARGE)
    assert await place.download(SNAPSHOT, target) == len(LARGE)
    assert target.read_bytes() == LARGE
    await place.write(SNAPSHOT, LARGE[1:])
    assert await place.read(SNAPSHOT, max_bytes=len(LARGE)) == LARGE[1:]


async def test_an_upload_of_a_missing_file_stores_nothing(
    place: ReplicaPlace, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError):
        await place.upload("blobs/a", tmp_path / "none")
    assert await names(place) == []


async def test_a_local_disk_that_refuses_a_download_is_no_fault_of_the_place(
    place: ReplicaPlace, tmp_path: Path
) -> None:
    await place.write("blobs/a", b"1")
    with pytest.raises(FileNotFoundError):
        await place.download("blobs/a", tmp_path / "none" / "file")


async def test_deleted_files_are_gone_and_missing_ones_ignored(place: ReplicaPlace) -> None:
    for name in (LTX, SNAPSHOT, "manifest.json"):
        await place.write(name, b"1")
    await place.delete([LTX, "blobs/none", "none"])
    await place.delete([])
    assert await names(place) == sorted([SNAPSHOT, "manifest.json"])
    await place.delete([SNAPSHOT, LTX])
    assert await names(place) == ["manifest.json"]
    await place.write(SNAPSHOT, b"2")
    assert await place.read(SNAPSHOT, max_bytes=1) == b"2"


@pytest.mark.parametrize(
    "name",
    [
        *("", "/", "../x", "a/../b", "a//b", "/etc/passwd", "a/", "./a", ".lock", "a/.x"),
        *("a\0b", "a\nb", "a" * 256, "a/" + "é" * 128),
    ],
)
async def test_no_name_leads_out_of_the_place(
    place: ReplicaPlace, tmp_path: Path, name: str
) -> None:
    for doing in (
        place.read(name, max_bytes=1),
        place.write(name, b""),
        place.write_if_same(name, b"", before=None),
        place.download(name, tmp_path / "file"),
        place.upload(name, Path(__file__)),
        place.delete([name]),
    ):
        with pytest.raises(ReplicaRefused, match="cannot be the name of a file"):
            await doing
    assert await names(place) == []


async def test_a_closed_place_can_be_closed_again(place: ReplicaPlace) -> None:
    await place.write("manifest.json", b"1")
    await place.close()
    await place.close()
    assert place
