"""A leased place: what changes files waits for the lease."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from pds.replication.errors import ReplicaUnavailable
from pds.replication.replica.file_place import FilePlace
from pds.replication.replica.lease import Lease, LeaseTimes
from pds.replication.replica.leased_place import LeasedPlace
from pds.replication.replica.place import ReplicaPlace

TIMES = LeaseTimes(settle_s=0.0)
NAME, DATA = "account.sqlite/ltx/9/file", b"pages"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "replica"
    root.mkdir()
    return root


@pytest.mark.parametrize(
    "change",
    [
        lambda place, _: place.write(NAME, b"new"),
        lambda place, _: place.write_if_same(NAME, b"new", before=DATA),
        lambda place, local: place.upload(NAME, local),
        lambda place, _: place.delete([NAME]),
    ],
)
async def test_changes_are_refused_while_the_lease_is_not_held(
    root: Path, tmp_path: Path, change: Callable[[ReplicaPlace, Path], Awaitable[object]]
) -> None:
    now_s = 1000.0
    local = tmp_path / "local"
    local.write_bytes(b"new")
    raw = FilePlace(root)
    lease = Lease(raw, server_id="a", times=TIMES, now_s=lambda: now_s)
    place = LeasedPlace(raw, lease)
    await lease.acquire()
    await place.write(NAME, DATA)
    now_s += TIMES.held_s
    with pytest.raises(ReplicaUnavailable, match="not renewed in time"):
        await change(place, local)
    assert await place.read(NAME, max_bytes=100) == DATA
    now_s -= TIMES.held_s
    await change(place, local)
    path = root / NAME
    assert not path.exists() or path.read_bytes() == b"new"
    await place.close()
