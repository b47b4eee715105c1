"""A replica whose disk is not mounted for a while: nothing goes to the mount point."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.pds.replication.small_server import SmallServer, did_of
from tests.pds.replication.supervised import all_synced, options_of, running


@pytest.fixture
def server(tmp_path: Path) -> SmallServer:
    return SmallServer.make(tmp_path / "data", accounts=30)


def unmount(replica: Path) -> None:
    """Leave an empty directory, as an unmounted disk does."""
    replica.rename(replica.with_name("disk"))
    replica.mkdir()


def mount(replica: Path) -> None:
    """Bring the disk back, over whatever was written below."""
    shutil.rmtree(replica)
    replica.with_name("disk").rename(replica)


def files_below(directory: Path) -> set[Path]:
    return {path for path in directory.rglob("*") if path.is_file()}


async def test_nothing_is_lost_and_litestream_waits(server: SmallServer, tmp_path: Path) -> None:
    replica = tmp_path / "replica"
    async with running(options_of(server, replica)) as made:
        await made.until(all_synced)
        server.write(did_of(0), "before")
        await made.until(all_synced)
        unmount(replica)
        for number in range(20):
            server.write(did_of(number), "meanwhile")
        # Litestream, which is killed, may be the first to tell of something.
        status = await made.until(
            lambda status: (
                status.state == "unreachable"
                and "see that its disk is mounted" in str(status.last_error)
            )
        )
        await made.until(lambda status: all(each.pid is None for each in status.daemons))
        before = files_below(replica)
        server.write(did_of(21), "later")
        sweeps = status.totals.sweeps + 1
        await made.until(lambda status: status.totals.sweeps > sweeps)
        assert files_below(replica) == before
        mount(replica)
        await made.until(all_synced)
        await made.end()
        assert made.values(did_of(0)) == ['"before"', '"meanwhile"']
        assert [made.values(did_of(number)) for number in range(1, 20)] == [['"meanwhile"']] * 19
        assert made.values(did_of(21)) == ['"later"']
