"""Moves and the download of all data with blobs on a real S3 server: intact, in bounded memory."""

from __future__ import annotations

import random
from io import BytesIO
from pathlib import Path
from typing import Final
from zipfile import ZipFile

import pytest

from tests.e2e.forked import Zygote
from tests.e2e.moves import OLD_PASSWORD, Host, Pages, two_hosts
from tests.pds.web.browser import Browser
from tests.seaweedfs import SeaweedFs

_BLOBS: Final = 16
_BLOB_BYTES: Final = 6_000_000
_MORE_BYTES: Final = 70_000_000
"""What a server may take more at its peak, with much more passing through it."""


def pictures() -> list[bytes]:
    """Files that cannot be compressed, each of several parts of an upload."""
    some = random.Random(15)
    return [b"\x89PNG\r\n\x1a\n" + some.randbytes(_BLOB_BYTES) for _ in range(_BLOBS)]


def peak_bytes(host: Host) -> int:
    """The most memory that the process of a server has had."""
    assert host.server.process is not None
    status = Path(f"/proc/{host.server.process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("is_in", [True, False], ids=["in", "out"])
async def test_a_move_between_buckets_brings_every_file_in_bounded_memory(
    forking: Zygote, tmp_path: Path, seaweedfs: SeaweedFs, is_in: bool
) -> None:
    old, new = [await seaweedfs.create_bucket() for _ in range(2)]
    environs = [seaweedfs.environ(each.bucket) for each in (old, new)]
    async with two_hosts(forking, tmp_path, old=environs[0], new=environs[1]) as two:
        two.old.start()
        two.new.start()
        mover = await two.join(blobs=pictures())
        pages = Pages(two, mover, is_in)
        before = [peak_bytes(host) for host in (two.old, two.new)]
        await pages.go_on()
        after = [peak_bytes(host) for host in (two.old, two.new)]
        await two.check_moved(mover)
        more = [most - least for most, least in zip(after, before, strict=True)]
        assert max(more) < _MORE_BYTES, more
        assert not any((host.server.data / "blobs").exists() for host in (two.old, two.new))


async def test_the_download_has_every_file_of_a_bucket_in_bounded_memory(
    forking: Zygote, tmp_path: Path, seaweedfs: SeaweedFs
) -> None:
    bucket = await seaweedfs.create_bucket()
    async with two_hosts(forking, tmp_path, old=seaweedfs.environ(bucket.bucket)) as two:
        two.old.start()
        mover = await two.join(blobs=pictures())
        browser = Browser(two.old)
        page = await browser.open("/account/sign-in")
        fields = {"username": mover.did, "password": OLD_PASSWORD}
        await browser.send(page.form("/sign-in"), **fields)
        page = await browser.open("/account/data")
        before = peak_bytes(two.old)
        page = await browser.send(page.form("/data"))
        assert peak_bytes(two.old) - before < _MORE_BYTES
        assert int(page.reply.headers["Content-Length"]) == len(page.reply.body)
        with ZipFile(BytesIO(page.reply.body)) as archive:
            names = {name: cid for cid in mover.blobs for name in (f"blobs/{cid}.png",)}
            assert set(archive.namelist()) == {"repo.car", "preferences.json", *names}
            for name, cid in names.items():
                assert archive.read(name) == mover.blobs[cid]
