"""`pds blobs migrate` beside a real server and a real S3 server: nothing is missed by anyone."""

from __future__ import annotations

import random
import signal

import pytest

from actor_store.blob_store.places import Place
from actor_store.blob_store.s3_location import S3Location
from tests.e2e.blob_homes import Homes, begin, ended, migrate
from tests.e2e.blob_traffic import Pictures
from tests.e2e.world import ENVIRON, REACHED_S, World
from tests.pds.conftest import basic_auth
from tests.seaweedfs import SeaweedFs


@pytest.fixture
def homes(world: World, seaweedfs: SeaweedFs, bucket_location: S3Location) -> Homes:
    return Homes(world.server.data, seaweedfs, bucket_location)


@pytest.fixture
def pictures(world: World) -> Pictures:
    return Pictures(world, random.Random(5))


async def take_down(world: World, did: str, cid: str) -> None:
    await world.post(
        "com.atproto.admin.updateSubjectStatus",
        basic_auth("admin", ENVIRON["PDS_ADMIN_PASSWORD"]),
        subject={"$type": "com.atproto.admin.defs#repoBlobRef", "did": did, "cid": cid},
        takedown={"applied": True},
    )


async def test_everything_moves_to_s3_and_back_while_users_go_on(
    world: World, homes: Homes, pictures: Pictures
) -> None:
    world.start(**homes.environ(only="disk"))
    for act in (pictures.post, pictures.draft):
        for _ in range(25):
            await act()
    hidden = pictures.posted.pop()
    await take_down(world, hidden.person.did, hidden.cid)
    here = "disk"
    for there in ("s3", "disk"):
        world.server.stop()
        world.start(**homes.environ(move_to=there))
        async with pictures.going_on():
            done = await migrate(world, there)
        assert (done["done"], done["left"]) == (True, [])
        assert done["moved"]["count"] >= 10
        await pictures.check_all()
        assert await homes.names(here) == {}
        found = await homes.names(there)
        assert found[Place.QUARANTINED] == {hidden.cid}
        drafts = {blob["ref"]["$link"] for _, blob, _ in pictures.drafts}
        assert len(found[Place.TEMPORARY]) == len(drafts)
        assert found[Place.PERMANENT] == {picture.cid for picture in pictures.posted}
        world.server.stop()
        world.start(**homes.environ(only=there))
        await pictures.check_all()
        while pictures.drafts:
            await pictures.post_draft()
        await pictures.check_all()
        for _ in range(10):
            await pictures.draft()
        here = there
    assert pictures.reads > 10
    assert len(pictures.deleted) > 1
    assert "Traceback" not in world.server.log()


@pytest.mark.parametrize("point", ["blob-copied", "blob-named", "blob-removed"])
async def test_a_move_goes_on_after_a_crash_of_the_server(
    world: World, homes: Homes, pictures: Pictures, point: str
) -> None:
    world.start(**homes.environ(only="disk"))
    for _ in range(10):
        await pictures.post()
    world.server.stop()
    world.start(fault=point, **homes.environ(move_to="s3"))
    status, _, err = await ended(begin(world, "blobs", "migrate", "--to", "s3"))
    assert world.server.wait_ended(REACHED_S)
    assert (status, err.count("Error: ")) == (1, 1)
    assert "Traceback" not in err
    world.start(**homes.environ(move_to="s3"))
    await pictures.check_all()
    assert (await migrate(world, "s3"))["done"]
    await pictures.check_all()
    assert await homes.names("disk") == {}
    found = await homes.names("s3")
    assert found[Place.PERMANENT] == {picture.cid for picture in pictures.posted}
    # Copies that were cut off: the sweep of uploads removes them in a week.
    assert found.keys() <= {Place.PERMANENT, Place.TEMPORARY}


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
async def test_a_move_goes_on_after_the_end_of_the_command(
    world: World, homes: Homes, pictures: Pictures, number: signal.Signals, status: int
) -> None:
    world.start(**homes.environ(only="disk"))
    for _ in range(20):
        await pictures.post()
    world.server.stop()
    world.start(**homes.environ(move_to="s3"))
    slow = begin(world, "blobs", "migrate", "--to", "s3", "--rate", "100kB")
    while not (await homes.names("s3")).get(Place.PERMANENT):
        assert slow.poll() is None, slow.communicate()
    slow.send_signal(number)
    left, _, err = await ended(slow)
    assert left == status
    assert ("What has been moved stays moved" in err) == (number is signal.SIGINT)
    assert await homes.names("disk") != {}
    await pictures.check_all()
    assert (await migrate(world, "s3"))["done"]
    await pictures.check_all()
    assert await homes.names("disk") == {}


async def test_without_a_server_the_command_moves_the_files_itself(
    world: World, homes: Homes, pictures: Pictures
) -> None:
    world.start(**homes.environ(move_to="disk"))
    for _ in range(3):
        await pictures.post()
    world.server.stop()
    world.start(**homes.environ(move_to="s3"))
    world.server.stop()
    done = await migrate(world, "s3")
    assert (done["done"], done["moved"]["count"]) == (True, 3)
    assert await homes.names("disk") == {}
    world.start(**homes.environ(only="s3"))
    await pictures.check_all()


async def test_damage_is_listed_with_what_to_do(
    world: World, homes: Homes, pictures: Pictures
) -> None:
    world.start(**homes.environ(move_to="disk"))
    for _ in range(3):
        await pictures.post()
    world.server.stop()
    picture = pictures.posted[0]
    path = world.server.data / "blobs" / picture.person.did / picture.cid
    intact = path.read_bytes()
    path.write_bytes(b"x" * len(intact))
    world.start(**homes.environ(move_to="s3"))
    status, out, err = await ended(begin(world, "blobs", "migrate", "--to", "s3"))
    assert status == 1
    assert out.startswith("Moved to S3: 2 blobs, ")
    assert (
        f"1 blob cannot be moved and stay on the disk:\n  {picture.person.did} {picture.cid}" in err
    )
    status, out, err = await ended(begin(world, "blobs", "status"))
    assert (status, err) == (0, "")
    assert "To be moved to S3: 1 blob, " in out
    path.write_bytes(intact)
    status, out, err = await ended(begin(world, "blobs", "migrate", "--to", "s3"))
    assert (status, err) == (0, "")
    assert "Remove the settings PDS_BLOBSTORE_DISK_LOCATION and PDS_BLOBSTORE_MOVE_TO" in out
    await pictures.check_all()
