"""The lease: at most one supervisor writes to a replica."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from pds.replication.errors import (
    DamagedReplicaFile,
    LeaseHeld,
    ReplicaFileMissing,
    ReplicaInUse,
    ReplicaUnavailable,
)
from pds.replication.replica.file_place import FilePlace
from pds.replication.replica.lease import Lease, LeaseTimes
from pds.replication.replica.lease_file import LeaseFile
from pds.replication.replica.machine import pid_space
from pds.replication.replica.place import ReplicaPlace

QUICK = LeaseTimes(
    renew_s=0.01, retry_s=0.01, held_s=60, stale_s=0.05, watch_every_s=0.01, settle_s=0.01
)
"""For takeovers that happen."""
PATIENT = LeaseTimes(renew_s=0.01, retry_s=0.01, held_s=60, watch_every_s=0.01, settle_s=0.01)
"""For takeovers that must not happen, however slow the machine is."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "replica"
    root.mkdir()
    (root / "manifest.json").write_bytes(b"{}")
    return root


def move(root: Path, target: Path) -> None:
    root.rename(target)


async def stored(place: ReplicaPlace) -> LeaseFile:
    return LeaseFile.decode(await place.read("lease.json", max_bytes=4096))


def lease_of_ended_process() -> LeaseFile:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return LeaseFile(
        server_id="a",
        run_id="ended",
        host=socket.gethostname(),
        pid=process.pid,
        pid_space=pid_space(),
        counter=7,
    )


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.005)


async def until_counted(place: ReplicaPlace, above: int) -> None:
    async with asyncio.timeout(20):
        while (await stored(place)).counter <= above:  # noqa: ASYNC110 (nobody tells)
            await asyncio.sleep(0.005)


@asynccontextmanager
async def kept(lease: Lease) -> AsyncIterator[asyncio.Task[None]]:
    keeping = asyncio.create_task(lease.keep())
    try:
        yield keeping
    finally:
        keeping.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await keeping


async def test_a_free_lease_is_taken_and_counts_up(place: ReplicaPlace) -> None:
    lease = Lease(place, server_id="a", times=PATIENT)
    assert not lease.is_held
    await lease.acquire()
    assert lease.is_held
    first = await stored(place)
    async with kept(lease):
        await until_counted(place, first.counter + 1)
    now = await stored(place)
    assert (now.server_id, now.run_id, now.pid) == ("a", first.run_id, first.pid)


async def test_a_renewal_can_be_asked_for(root: Path) -> None:
    """It tells what is wrong with the place, long before the next one is due."""
    lease = Lease(FilePlace(root), server_id="one", times=replace(QUICK, renew_s=600))
    await lease.acquire()
    async with kept(lease):
        move(root, root.with_name("away"))
        lease.renew_soon()
        await until(lambda: lease.last_error is not None)
        assert str(root) in str(lease.last_error)
        move(root.with_name("away"), root)
        await until(lambda: lease.last_error is None)
        assert lease.is_held


async def test_a_lease_that_moves_is_left_to_its_holder(place: ReplicaPlace) -> None:
    holder = Lease(place, server_id="a", times=PATIENT)
    await holder.acquire()
    async with kept(holder) as keeping:
        other = Lease(place, server_id="b", times=PATIENT)
        with pytest.raises(ReplicaInUse, match=r"host .*, process \d+.*stop it, or replicate"):
            await other.acquire()
        assert not other.is_held
        await until_counted(place, (await stored(place)).counter)
        assert not keeping.done()
    assert (await stored(place)).server_id == "a"


async def test_a_lease_is_taken_by_force_from_a_holder_that_stops_then(root: Path) -> None:
    place = FilePlace(root)
    holder = Lease(place, server_id="a", times=PATIENT)
    await holder.acquire()
    async with kept(holder) as keeping:
        other = Lease(place, server_id="b", times=PATIENT)
        await other.acquire(by_force=True)
        assert other.is_held
        with pytest.raises(ReplicaInUse):
            await asyncio.wait_for(keeping, 20)


async def test_a_lease_that_does_not_move_is_taken_over_whatever_the_clocks_say(
    place: ReplicaPlace,
) -> None:
    dead = LeaseFile(server_id="a", run_id="dead", host="h", pid=1, pid_space="", counter=2**40)
    await place.write("lease.json", dead.encode())
    lease = Lease(place, server_id="b", times=QUICK)
    await lease.acquire()
    now = await stored(place)
    assert (now.server_id, now.counter) == ("b", 2**40 + 1)


async def test_the_lease_of_a_process_that_has_ended_here_is_taken_at_once(root: Path) -> None:
    place = FilePlace(root)
    await place.write("lease.json", lease_of_ended_process().encode())
    lease = Lease(place, server_id="b", times=PATIENT)
    async with asyncio.timeout(LeaseTimes().stale_s / 2):
        await lease.acquire()
    assert lease.is_held


@pytest.mark.parametrize(
    "elsewhere", [{"host": "another"}, {"pid_space": "another"}, {"pid": os.getpid()}]
)
async def test_a_lease_whose_holder_may_be_running_is_watched(
    root: Path, elsewhere: dict[str, Any]
) -> None:
    place = FilePlace(root)
    holder = replace(lease_of_ended_process(), **elsewhere)
    await place.write("lease.json", holder.encode())
    taking = asyncio.create_task(Lease(place, server_id="b", times=PATIENT).acquire())
    while not taking.done():
        holder = holder.counted()
        await place.write("lease.json", holder.encode())
        await asyncio.sleep(0.005)
    with pytest.raises(ReplicaInUse):
        await taking


async def test_the_same_data_directory_takes_its_lease_back_at_once(root: Path) -> None:
    place = FilePlace(root)
    await Lease(place, server_id="a", times=PATIENT).acquire()
    again = Lease(place, server_id="a", times=LeaseTimes())
    async with asyncio.timeout(LeaseTimes().settle_s):
        await again.acquire()
    assert again.is_held


async def test_a_released_lease_is_taken_at_once(root: Path) -> None:
    place = FilePlace(root)
    first = Lease(place, server_id="a", times=PATIENT)
    await first.acquire()
    await first.release()
    assert (await stored(place)).is_released
    assert not first.is_held
    second = Lease(place, server_id="b", times=PATIENT)
    await second.acquire()
    assert (await stored(place)).server_id == "b"


async def test_a_lease_that_is_released_while_it_is_watched_is_taken(root: Path) -> None:
    place = FilePlace(root)
    first = Lease(place, server_id="a", times=PATIENT)
    await first.acquire()
    second = Lease(place, server_id="b", times=PATIENT)
    watching = asyncio.create_task(second.acquire())
    await asyncio.sleep(0)
    await first.release()
    await watching
    assert second.is_held


async def test_of_those_that_start_in_the_same_moment_one_survives(place: ReplicaPlace) -> None:
    leases = [Lease(place, server_id=f"server-{n}", times=PATIENT) for n in range(4)]

    async def run(lease: Lease) -> None:
        await lease.acquire()
        await lease.keep()

    running = [asyncio.create_task(run(lease)) for lease in leases]
    await until(lambda: sum(task.done() for task in running) == 3)
    survivor = next(n for n, task in enumerate(running) if not task.done())
    running[survivor].cancel()
    results = await asyncio.gather(*running, return_exceptions=True)
    assert [type(result) for result in results].count(LeaseHeld) == 3
    assert [lease.is_held for lease in leases].index(True) == survivor
    assert (await stored(place)).server_id == f"server-{survivor}"


class Overwriting(FilePlace):
    """A place that cannot compare and write in one step: everything is written."""

    async def write_if_same(self, name: str, data: bytes, *, before: bytes | None) -> bool:
        await self.write(name, data)
        return True


async def test_where_a_place_promises_nothing_the_last_to_write_survives(root: Path) -> None:
    place = Overwriting(root)
    leases = [Lease(place, server_id=name, times=PATIENT) for name in ("a", "b")]
    first = asyncio.create_task(leases[0].acquire())
    await until(lambda: leases[0].is_held)
    second = asyncio.create_task(leases[1].acquire())
    # As if it had looked before the first has written.
    await place.delete(["lease.json"])
    results = await asyncio.gather(first, second, return_exceptions=True)
    assert isinstance(results[0], ReplicaInUse)
    assert results[1] is None
    assert [lease.is_held for lease in leases] == [False, True]


async def test_a_holder_that_was_taken_over_stops(root: Path) -> None:
    place = FilePlace(root)
    first = Lease(place, server_id="a", times=QUICK)
    await first.acquire()
    await Lease(place, server_id="b", times=QUICK).acquire()
    taken = await stored(place)
    with pytest.raises(ReplicaInUse):
        await first.keep()
    assert not first.is_held
    await first.release()
    assert await stored(place) == taken


async def test_an_outage_ends_with_a_renewal(root: Path) -> None:
    place = FilePlace(root)
    lease = Lease(place, server_id="a", times=PATIENT)
    await lease.acquire()
    away = root.with_name("unmounted")
    async with kept(lease) as keeping:
        move(root, away)
        await until(lambda: lease.last_error is not None)
        assert "mount its disk" in (lease.last_error or "")
        move(away, root)
        await until(lambda: lease.last_error is None)
        assert not keeping.done()
        assert lease.is_held


async def test_a_lease_is_not_counted_on_long_before_others_take_it(root: Path) -> None:
    now_s = 1000.0
    place = FilePlace(root)
    lease = Lease(place, server_id="a", times=PATIENT, now_s=lambda: now_s)
    await lease.acquire()
    assert lease.is_held
    now_s += PATIENT.held_s
    assert not lease.is_held
    async with kept(lease):
        await until(lambda: lease.is_held)
    real = LeaseTimes()
    assert real.renew_s < real.held_s
    assert real.held_s + real.call_s <= real.stale_s


async def test_a_machine_that_has_slept_renews_its_lease_at_once(root: Path) -> None:
    now_s = 1000.0
    place, times = FilePlace(root), replace(PATIENT, renew_s=600)
    lease = Lease(place, server_id="a", times=times, now_s=lambda: now_s)
    await lease.acquire()
    counter = (await stored(place)).counter
    async with kept(lease):
        # As seen by the timers of the event loop, no time has passed.
        await asyncio.sleep(0)
        now_s += 600
        await until_counted(place, counter)
        # The file is written first.
        await until(lambda: lease.is_held)
        assert (await stored(place)).counter > counter


async def test_after_an_outage_a_lease_that_another_has_taken_is_lost(root: Path) -> None:
    place = FilePlace(root)
    lease = Lease(place, server_id="a", times=PATIENT)
    await lease.acquire()
    away = root.with_name("unmounted")
    async with kept(lease) as keeping:
        move(root, away)
        await until(lambda: lease.last_error is not None)
        await Lease(FilePlace(away), server_id="b", times=QUICK).acquire()
        move(away, root)
        with pytest.raises(ReplicaInUse):
            await keeping
    assert (await stored(place)).server_id == "b"


class Forgetful(FilePlace):
    """A place whose next answer to a write is lost, although the write is carried out."""

    loses = False

    async def write_if_same(self, name: str, data: bytes, *, before: bytes | None) -> bool:
        written = await super().write_if_same(name, data, before=before)
        if self.loses:
            self.loses = False
            raise ReplicaUnavailable("the answer was lost")
        return written


async def test_a_renewal_whose_answer_was_lost_is_no_loss(root: Path) -> None:
    place = Forgetful(root)
    lease = Lease(place, server_id="a", times=PATIENT)
    await lease.acquire()
    async with kept(lease) as keeping:
        place.loses = True
        await until(lambda: not place.loses)
        await until_counted(place, (await stored(place)).counter + 2)
        await until(lambda: lease.last_error is None)
        assert not keeping.done()
        assert lease.is_held


async def test_a_lease_that_was_deleted_is_written_again(root: Path) -> None:
    place = FilePlace(root)
    lease = Lease(place, server_id="a", times=PATIENT)
    await lease.acquire()
    async with kept(lease) as keeping:
        (root / "lease.json").unlink()
        await until(lambda: (root / "lease.json").exists())
        assert not keeping.done()
    assert (await stored(place)).server_id == "a"


async def test_a_disk_that_is_mounted_during_a_renewal_is_no_loss(root: Path) -> None:
    class Mounted(FilePlace):
        """A directory whose disk is mounted when its lease has been looked for in vain."""

        async def read(self, name: str, *, max_bytes: int) -> bytes:
            if disk.exists() and name == "lease.json":
                with pytest.raises(ReplicaFileMissing):
                    await super().read(name, max_bytes=max_bytes)
                mount()
                raise ReplicaFileMissing(name)
            return await super().read(name, max_bytes=max_bytes)

    def unmount() -> None:
        move(root, disk)
        root.mkdir()

    def mount() -> None:
        shutil.rmtree(root)
        move(disk, root)

    disk = root.with_name("disk")
    place = Mounted(root)
    lease = Lease(place, server_id="a", times=replace(PATIENT, renew_s=600))
    await lease.acquire()
    first = await stored(place)
    unmount()
    async with kept(lease) as keeping:
        lease.renew_soon()
        await until(lambda: keeping.done() or not disk.exists())
        await until_counted(place, first.counter)
        assert not keeping.done()
        assert lease.is_held


async def test_no_lease_is_written_where_the_replica_itself_is_gone(root: Path) -> None:
    lease = Lease(FilePlace(root), server_id="a", times=PATIENT)
    await lease.acquire()
    async with kept(lease) as keeping:
        # The mount point of a disk that was taken away is an empty directory.
        (root / "manifest.json").unlink()
        (root / "lease.json").unlink()
        await until(lambda: lease.last_error is not None)
        assert "manifest.json" in (lease.last_error or "")
        assert not keeping.done()
    assert not (root / "lease.json").exists()


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"{", b"\xff\xfe", b"[]", b"null", b"{}"),
        b'{"server_id":"a","run_id":"b","host":"h","pid":true,"pid_space":"","counter":1,"is_released":false}',
        b'{"server_id":"a","run_id":"b","host":"h","pid":1,"pid_space":"","counter":"1","is_released":false}',
        b'{"server_id":1,"run_id":"b","host":"h","pid":1,"pid_space":"","counter":1,"is_released":false}',
    ],
)
async def test_garbage_is_named_with_what_to_do(root: Path, data: bytes) -> None:
    place = FilePlace(root)
    await place.write("lease.json", data)
    lease = Lease(place, server_id="a", times=QUICK)
    with pytest.raises(DamagedReplicaFile, match=r"lease\.json of the replica .* delete the file"):
        await lease.acquire()
    assert await place.read("lease.json", max_bytes=4096) == data
    assert not lease.is_held


async def test_garbage_in_place_of_a_held_lease_ends_it(root: Path) -> None:
    place = FilePlace(root)
    lease = Lease(place, server_id="a", times=QUICK)
    await lease.acquire()
    await place.write("lease.json", b"garbage")
    with pytest.raises(DamagedReplicaFile):
        await lease.keep()
    assert not lease.is_held


async def test_a_stop_while_the_place_is_away_does_not_fail(root: Path) -> None:
    lease = Lease(FilePlace(root), server_id="a", times=QUICK)
    await lease.release()
    await lease.acquire()
    move(root, root.with_name("unmounted"))
    await lease.release()
    assert not lease.is_held


def test_a_lease_is_read_as_it_was_written() -> None:
    lease = LeaseFile(
        server_id="a", run_id="b", host="ü", pid=3, pid_space="b", counter=4, is_released=True
    )
    assert LeaseFile.decode(lease.encode()) == lease
    assert set(orjson.loads(lease.encode())) == {
        *("server_id", "run_id", "host", "pid", "pid_space", "counter", "is_released")
    }
