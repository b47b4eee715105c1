"""A standby beside a real replication: what the server writes, the standby has soon after."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pds.replication.ltx.names import SNAPSHOT_LEVEL, list_ltx
from pds.replication.ltx.transfer import Transfer
from pds.replication.replica.file_place import FilePlace
from pds.replication.replica.names import actor_database
from pds.replication.restore.target import LEDGER
from pds.replication.standby.state import Copied
from repo.cid import Cid
from tests.pds.replication.small_server import SmallServer, did_of, values_in
from tests.pds.replication.standby.kit import delete_account, following, make_server
from tests.pds.replication.supervised import Running, options_of, running

ACCOUNTS = 10


@pytest.fixture
def server(tmp_path: Path) -> SmallServer:
    return make_server(tmp_path / "data", ACCOUNTS)


@pytest.fixture
def replica(tmp_path: Path) -> Path:
    return tmp_path / "replica"


@asynccontextmanager
async def replicating(server: SmallServer, replica: Path) -> AsyncIterator[Running]:
    """The real supervisor, with everything in the replica."""
    async with running(options_of(server, replica)) as made:
        await made.until(
            lambda status: (
                status.state == "running"
                and status.actors.known == len(server.dids)
                and not status.actors.dirty
            )
        )
        yield made


async def test_what_is_written_reaches_the_standby_within_seconds(
    server: SmallServer, replica: Path, tmp_path: Path
) -> None:
    async with replicating(server, replica), following(replica, tmp_path / "to") as follower:
        await follower.until_same(server)
        for number in range(60):
            server.write(did_of(number % 10), f"value {number}")
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        await follower.until_same(server)
        assert loop.time() - began_s < 15
        await follower.until_status(lambda status: status.state == "following")
        assert follower.standby.status().problems == ()


async def test_a_standby_goes_on_from_what_it_has(
    server: SmallServer, replica: Path, tmp_path: Path
) -> None:
    async with replicating(server, replica):
        async with following(replica, tmp_path / "to") as follower:
            await follower.until_same(server)
            await follower.until_status(lambda status: status.state == "following")
            stores = [follower.target.layout.store(did) for did in server.dids]
        inodes = [store.stat().st_ino for store in stores]
        for number in range(5):
            server.write(did_of(number), "meanwhile")
        async with following(replica, tmp_path / "to") as follower:
            await follower.until_same(server)
        # Nothing was copied anew: a new copy takes the place of the old file.
        assert [store.stat().st_ino for store in stores] == inodes


async def test_new_and_deleted_accounts_come_and_go(
    server: SmallServer, replica: Path, tmp_path: Path
) -> None:
    async with replicating(server, replica), following(replica, tmp_path / "to") as follower:
        await follower.until_same(server)
        server.create(did_of(500))
        server.write(did_of(500), "new")
        delete_account(server, did_of(3))
        await follower.until(lambda: follower.values(did_of(500)) == ["new"])
        await follower.until(lambda: follower.txid(did_of(3)) == 0)
        assert follower.values(did_of(3)) is None
        # The DID comes back, such as by an import.
        server.create(did_of(3))
        server.write(did_of(3), "again")
        await follower.until(lambda: follower.values(did_of(3)) == ["again"])


async def test_a_store_that_is_gone_while_the_account_is_there_stays_in_the_standby(
    server: SmallServer, replica: Path, tmp_path: Path
) -> None:
    async with (
        replicating(server, replica) as made,
        following(replica, tmp_path / "to") as follower,
    ):
        await follower.until_same(server)
        # As when the disk of the actors is not mounted.
        server.delete(did_of(3))
        await made.until(lambda status: status.actors.deleted == 1)
        await follower.until(lambda: follower.standby.actors.doomed == {did_of(3)})
        server.write(did_of(4), "after that")
        await follower.until_same(server)
        assert follower.values(did_of(3)) == []


async def test_a_store_that_is_replaced_on_the_primary_is_replaced_here(
    server: SmallServer, replica: Path, tmp_path: Path
) -> None:
    async with replicating(server, replica), following(replica, tmp_path / "to") as follower:
        server.write(did_of(1), "old")
        await follower.until(lambda: follower.values(did_of(1)) == ["old"])
        server.delete(did_of(1))
        server.create(did_of(1))
        server.write(did_of(1), "of another history")
        await follower.until(lambda: follower.values(did_of(1)) == ["of another history"])


async def test_keys_and_blobs_follow(server: SmallServer, replica: Path, tmp_path: Path) -> None:
    did, data = did_of(2), b"a picture"
    blob = server.directory / "blobs" / did / str(Cid.of_raw(data))
    async with replicating(server, replica), following(replica, tmp_path / "to") as follower:
        await follower.until_same(server)
        key = follower.target.layout.key(did)
        await follower.until(key.exists)
        assert key.read_bytes() == server.layout.key(did).read_bytes()
        assert key.stat().st_mode & 0o777 == 0o600
        blob.parent.mkdir(parents=True)
        blob.write_bytes(data)
        server.write(did, "with a blob")
        copy = tmp_path / "to" / "blocks" / did / blob.name
        await follower.until(copy.exists)
        assert copy.read_bytes() == data


@pytest.mark.parametrize(
    ("level", "is_in_place"),
    [pytest.param(1, True, id="merged"), pytest.param(SNAPSHOT_LEVEL, False, id="only-a-snapshot")],
)
async def test_an_account_goes_on_after_a_compaction(
    server: SmallServer, replica: Path, tmp_path: Path, level: int, *, is_in_place: bool
) -> None:
    did, place = did_of(4), FilePlace(replica)
    async with replicating(server, replica) as made:
        async with following(replica, tmp_path / "to") as follower:
            await follower.until_same(server)
            await follower.until_status(lambda status: status.state == "following")
            store = follower.target.layout.store(did)
        for number in range(3):
            server.write(did, f"{number}")
            await made.until(lambda _: made.values(did) == values_in(server.layout.store(did)))
        await made.end()
        inode = store.stat().st_ino
        files = sorted(await list_ltx(place, actor_database(did)), key=lambda file: file.name.last)
        async with Transfer(place) as transfer:
            await transfer.merge(files[level == 1 :], level)
        await place.delete([file.path for file in files[level == 1 : -1]])
        async with following(replica, tmp_path / "to") as follower:
            await follower.until(lambda: follower.values(did) == ["0", "1", "2"])
        assert (store.stat().st_ino == inode) == is_in_place


async def test_the_replica_may_be_away_for_a_while(
    server: SmallServer, replica: Path, tmp_path: Path
) -> None:
    async with replicating(server, replica) as made:
        await made.until(lambda status: status.state == "running")
        async with following(replica, tmp_path / "to") as follower:
            await follower.until_same(server)
            # Litestream would make the directory anew.
            await made.end()
            away = replica.rename(tmp_path / "away")  # noqa: ASYNC240 (moments)
            await follower.until_status(lambda status: status.state == "unreachable")
            assert follower.standby.status().last_error
            away.rename(replica)
            server.write(did_of(0), "after that")
            async with replicating(server, replica):
                await follower.until_same(server)
                await follower.until_status(lambda status: status.state == "following")


async def test_a_file_that_was_half_written_by_a_kill_is_completed(
    server: SmallServer, replica: Path, tmp_path: Path
) -> None:
    did = did_of(5)
    async with replicating(server, replica):
        async with following(replica, tmp_path / "to") as follower:
            await follower.until_same(server)
            await follower.until_status(lambda status: status.state == "following")
            store = follower.target.layout.store(did)
        before = store.read_bytes()
        server.write(did, "x" * 20_000)
        async with following(replica, tmp_path / "to") as follower:
            await follower.until_same(server)
            known = follower.state.find(actor_database(did))
            assert known is not None
        # As after a kill: pages of the increment are there, others not, and it is not noted.
        after = store.read_bytes()
        torn = bytearray(after[: len(after) - 4096])
        torn[4096:8192] = before[4096:8192]
        store.write_bytes(torn)
        async with following(replica, tmp_path / "to") as follower:
            follower.state.put(actor_database(did), Copied(known.txid - 1, known.begun))
            await follower.until(lambda: store.read_bytes() == after)


async def test_a_replica_that_was_begun_anew_is_copied_anew(
    server: SmallServer, replica: Path, tmp_path: Path
) -> None:
    async with (
        replicating(server, replica),
        following(replica, tmp_path / "to") as follower,
    ):
        await follower.until_same(server)
    shutil.rmtree(replica)
    for number in range(ACCOUNTS):
        server.write(did_of(number), "anew")
    async with replicating(server, replica), following(replica, tmp_path / "to") as follower:
        await follower.until_same(server)
        await follower.until_status(lambda status: status.state == "following")


async def test_while_nothing_changes_a_round_takes_one_listing(
    server: SmallServer, replica: Path, tmp_path: Path
) -> None:
    place = _Counting(replica)
    async with replicating(server, replica) as made:
        async with following(replica, tmp_path / "to") as follower:
            await follower.until_same(server)
        await made.end()
        async with following(replica, tmp_path / "to", place=place) as follower:
            await follower.until_status(lambda status: status.state == "following")
            place.calls.clear()
            await follower.until(lambda: len(place.calls) >= 5)
            assert set(place.calls) == {f"list {LEDGER}/ltx/0/"}


class _Counting(FilePlace):
    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.calls: list[str] = []

    def list(self, prefix: str = ""):  # type: ignore[no-untyped-def]
        self.calls.append(f"list {prefix}")
        return super().list(prefix)

    async def read(self, name: str, *, max_bytes: int) -> bytes:
        self.calls.append(f"read {name}")
        return await super().read(name, max_bytes=max_bytes)
