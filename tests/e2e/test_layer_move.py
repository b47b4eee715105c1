"""`pds blobs migrate` beside a real hold and a real S3 server: no layer is missed by anyone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from actor_store.blob_store.s3_bucket import S3Bucket
from actor_store.blob_store.s3_location import S3Location
from tests.e2e.blob_homes import Homes, begin, ended, migrate
from tests.e2e.registry import PART_BYTES, Image, digest_of
from tests.e2e.world import REACHED_S, World
from tests.e2e.world_hold import environ_of, registry_of
from tests.seaweedfs import SeaweedFs

IMAGE = Image.make("moved", 3 * PART_BYTES + 7, 0, 300, PART_BYTES, *range(1000, 1008))


class MovedHold:
    """A server with a hold, whose captain pushes and pulls, and its two places."""

    def __init__(self, world: World, homes: Homes, location: S3Location) -> None:
        self.world = world
        self._homes = homes
        self._location = location
        self.registry = registry_of(world)
        self.captain = world.alice
        self.pulls = 0

    def start(
        self, *, only: str | None = None, move_to: str | None = None, fault: str = ""
    ) -> None:
        """Start the server with one place or with both."""
        homes = self._homes.environ(only=only, move_to=move_to)
        self.world.start(fault=fault or None, **environ_of(self.world), **homes)

    async def check(self, *images: Image) -> None:
        """Pull every layer, and compare its digest."""
        for image in images:
            for data in image.blobs:
                digest = digest_of(data)
                pulled = await self.registry.pull_blob(self.captain, self.captain, digest)
                assert digest_of(pulled) == digest
                self.pulls += 1

    @asynccontextmanager
    async def pulled_meanwhile(self, *images: Image) -> AsyncIterator[None]:
        """Pull the images again and again, for as long as the block runs."""
        over = asyncio.Event()

        async def pull() -> None:
            while not over.is_set():
                await self.check(*images)

        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(pull())
            try:
                yield
            finally:
                over.set()

    async def stored(self, home: str) -> set[str]:
        """The digests of what lies in a place, and what uploads have left there."""
        if home == "disk":
            files = (self.world.server.data / "blobs" / "oci").rglob("*")
            return {self._name(path.name) for path in files if path.is_file()}
        bucket = S3Bucket(self._location)
        try:
            keys = [
                info.key
                async for info in bucket.list("")
                if "/blobs/sha256/" in f"/{info.key}" or "/uploads/" in f"/{info.key}"
            ]
            keys += [upload.key async for upload in bucket.uploads.list("")]
        finally:
            await bucket.close()
        return {self._name(key.removesuffix("/data").rpartition("/")[2]) for key in keys}

    @staticmethod
    def _name(name: str) -> str:
        return f"sha256:{name}"


def digests(*images: Image) -> set[str]:
    return {digest_of(data) for image in images for data in image.blobs}


@pytest.fixture
def hold(world: World, seaweedfs: SeaweedFs, bucket_location: S3Location) -> MovedHold:
    homes = Homes(world.server.data, seaweedfs, bucket_location)
    return MovedHold(world, homes, bucket_location)


async def test_all_layers_move_to_s3_and_back_while_people_pull_and_push(hold: MovedHold) -> None:
    hold.start(only="disk")
    assert (await hold.registry.push(hold.captain, IMAGE)).status == 200
    images, here = [IMAGE], "disk"
    for there in ("s3", "disk"):
        hold.world.server.stop()
        hold.start(move_to=there)
        new = Image.make(f"pushed-{there}", PART_BYTES + 1, 20)
        async with hold.pulled_meanwhile(*images):
            moving = asyncio.create_task(migrate(hold.world, there))
            assert (await hold.registry.push(hold.captain, new)).status == 200
            done = await moving
        assert (done["done"], done["left"]) == (True, [])
        assert done["moved"]["count"] >= len(digests(*images))
        images.append(new)
        assert await hold.stored(here) == set()
        assert await hold.stored(there) == digests(*images)
        await hold.check(*images)
        hold.world.server.stop()
        hold.start(only=there)
        await hold.check(*images)
        here = there
    assert hold.pulls > 4 * len(IMAGE.blobs)
    assert "Traceback" not in hold.world.server.log()


async def test_a_killed_move_loses_nothing_and_goes_on(hold: MovedHold) -> None:
    hold.start(only="disk")
    await hold.registry.push(hold.captain, IMAGE)
    here = "disk"
    for there in ("s3", "disk"):
        hold.world.server.stop()
        hold.start(move_to=there)
        slow = begin(hold.world, "blobs", "migrate", "--to", there, "--rate", "2MB")
        while not await hold.stored(there):
            assert slow.poll() is None, slow.communicate()
        hold.world.server.kill()
        assert hold.world.server.wait_ended(REACHED_S)
        status, _, err = await ended(slow)
        assert (status, err.count("Error: ")) == (1, 1)
        assert await hold.stored(here) != set()
        hold.start(move_to=there)
        await hold.check(IMAGE)
        assert (await migrate(hold.world, there))["done"]
        await hold.check(IMAGE)
        assert await hold.stored(here) == set()
        assert digests(IMAGE) <= await hold.stored(there)
        here = there


@pytest.mark.parametrize("point", ["layer-copied", "layer-named", "layer-removed"])
async def test_a_move_goes_on_after_a_crash_at_each_step(hold: MovedHold, point: str) -> None:
    hold.start(only="disk")
    await hold.registry.push(hold.captain, IMAGE)
    hold.world.server.stop()
    hold.start(move_to="s3", fault=point)
    status, _, _ = await ended(begin(hold.world, "blobs", "migrate", "--to", "s3"))
    assert hold.world.server.wait_ended(REACHED_S)
    assert status == 1
    hold.start(move_to="s3")
    await hold.check(IMAGE)
    assert (await migrate(hold.world, "s3"))["done"]
    await hold.check(IMAGE)
    assert await hold.stored("disk") == set()


async def test_without_a_server_the_command_moves_the_layers_itself(hold: MovedHold) -> None:
    hold.start(only="disk")
    await hold.registry.push(hold.captain, IMAGE)
    hold.world.server.stop()
    hold.start(move_to="s3")
    hold.world.server.stop()
    count = len(digests(IMAGE))
    status, out, _ = await ended(begin(hold.world, "blobs", "status", "--json"))
    layers = {home: places["layers"] for home, places in json.loads(out)["stores"].items()}
    size = sum(map(len, {digest_of(data): data for data in IMAGE.blobs}.values()))
    nothing = {"count": 0, "bytes": 0}
    assert (status, layers) == (0, {"s3": nothing, "disk": {"count": count, "bytes": size}})
    done = await migrate(hold.world, "s3")
    assert (done["done"], done["moved"]["count"]) == (True, count)
    status, out, _ = await ended(begin(hold.world, "blobs", "status"))
    assert "All blobs have moved to S3." in out
    hold.start(only="s3")
    await hold.check(IMAGE)


@pytest.mark.parametrize(("here", "there"), [("disk", "s3"), ("s3", "disk")])
async def test_an_upload_that_the_restart_has_cut_off_is_refused(
    hold: MovedHold, here: str, there: str
) -> None:
    if here == "disk":
        hold.start(only="disk")
    else:
        hold.start(move_to="s3")
    upload_id = await hold.registry.begin(hold.captain)
    await hold.registry.send_part(hold.captain, upload_id, 1, b"part")
    hold.world.server.stop()
    hold.start(move_to=there)
    more = await hold.registry.post(
        "io.atcr.hold.getPartUploadUrl", hold.captain, uploadId=upload_id, partNumber=2
    )
    assert more.error == (400, "InvalidUploadId")
    assert (await migrate(hold.world, there))["done"]
    assert await hold.stored(here) == await hold.stored(there) == set()
