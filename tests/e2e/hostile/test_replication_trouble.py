"""Troubles of the place of a replica: the server goes on, the operator is told, nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.e2e.forked import Zygote
from tests.e2e.hostile import replica_troubles as troubles
from tests.e2e.hostile.replica_troubles import Trouble
from tests.e2e.hostile.scale import scaled
from tests.e2e.replicated import (
    LEFT_TO_LITESTREAM,
    Replicated,
    check_restored,
    write_with_blob,
)
from tests.e2e.soak import at_length_only
from tests.e2e.world import World
from tests.seaweedfs import SeaweedFs
from tests.small_disk import small_disk
from tests.tcp_proxy import TcpProxy

pytestmark = at_length_only

Make = Callable[..., Replicated]


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def make(world: World, forking: Zygote, stack: AsyncExitStack) -> Make:
    def make(url: str, env: dict[str, str] | None = None) -> Replicated:
        made = Replicated(world, url, forking, env or {})
        stack.callback(made.kill)
        return made

    return make


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFs]:
    """A server of these tests, one of which ends it."""
    server = SeaweedFs.start(tmp_path_factory.mktemp("seaweedfs"))
    yield server
    server.kill()


@pytest.fixture
async def proxy(s3: SeaweedFs, stack: AsyncExitStack) -> TcpProxy:
    return await stack.enter_async_context(TcpProxy(s3.port).running())


async def check(replicated: Replicated, trouble: Trouble, told: str) -> None:
    """The server goes on in `trouble`, `told` is said of it, and afterwards nothing is lacking."""
    world = replicated.world
    await replicated.until_all_is_copied()
    async with trouble():
        for number in range(3):
            await world.create(world.alice, f"in-trouble-{number}")
        await write_with_blob(world, world.bob, "with-blob", b"a picture")
        await replicated.until(
            lambda status: status.state == "unreachable" and told in str(status.last_error)
        )
        shown = await asyncio.to_thread(replicated.run, "replicate", "status")
        assert shown.returncode == 1
        assert told in shown.stdout.replace("\n", " ")
        await world.create(world.alice, "still-served")
    await replicated.until_all_is_copied()
    await check_restored(replicated)


async def test_a_disk_that_is_not_mounted_for_a_while(
    world: World, make: Make, stack: AsyncExitStack, tmp_path: Path
) -> None:
    disk, replica = tmp_path / "disk", tmp_path / "replica"
    stack.enter_context(troubles.mounted(disk, replica))
    world.start(**LEFT_TO_LITESTREAM)
    replicated = make(f"file://{replica}")
    replicated.start()
    await check(replicated, troubles.disk_not_mounted(disk, replica), "is mounted")


@pytest.mark.parametrize(
    ("trouble", "told"),
    [(troubles.disk_read_only, "mounted for writing"), (troubles.disk_full, "is full")],
)
async def test_a_disk_that_takes_nothing_for_a_while(
    world: World,
    make: Make,
    stack: AsyncExitStack,
    tmp_path: Path,
    trouble: Callable[[Path], Trouble],
    told: str,
) -> None:
    disk = stack.enter_context(small_disk(tmp_path / "disk", size_mb=16))
    world.start(**LEFT_TO_LITESTREAM)
    replicated = make(f"file://{disk}")
    replicated.start()
    await check(replicated, trouble(disk), told)


ANSWERS = scaled(
    [(403, "AccessDenied", "allow this key")],
    [
        (403, "AccessDenied", "allow this key"),
        (403, "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"),
        (403, "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"),
        (403, "RequestTimeTooSkewed", "clock"),
        (404, "NoSuchBucket", "bucket"),
        (500, "InternalError", "says InternalError"),
        (503, "SlowDown", "says SlowDown"),
        (507, "InsufficientStorage", "room"),
    ],
)


@pytest.mark.parametrize(("status", "code", "told"), ANSWERS)
async def test_an_s3_server_that_refuses(
    world: World, make: Make, s3: SeaweedFs, proxy: TcpProxy, status: int, code: str, told: str
) -> None:
    world.start(**LEFT_TO_LITESTREAM)
    replicated = make(*await on_s3(s3, proxy.port))
    replicated.start()
    await check(replicated, troubles.server_says(proxy, status, code), told)


async def test_an_s3_server_that_stalls(
    world: World, make: Make, s3: SeaweedFs, proxy: TcpProxy
) -> None:
    world.start(**LEFT_TO_LITESTREAM)
    replicated = make(*await on_s3(s3, proxy.port))
    replicated.start()
    await check(replicated, troubles.server_stalls(proxy), "does not answer")


async def test_an_s3_server_that_ends_and_starts_again(
    world: World, make: Make, s3: SeaweedFs
) -> None:
    world.start(**LEFT_TO_LITESTREAM)
    replicated = make(*await on_s3(s3, s3.port))
    replicated.start()
    await check(replicated, troubles.server_gone(s3), "connect")


async def on_s3(s3: SeaweedFs, port: int) -> tuple[str, dict[str, str]]:
    """A new bucket of a server that is reached by a port, and the credentials."""
    bucket = (await s3.create_bucket()).bucket
    return s3.replica_url(bucket, port=port), s3.credentials
