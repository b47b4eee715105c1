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
from tests.e2e.replicated import Replicated, blobs_in, keys_in, records_in, write_with_blob
from tests.e2e.world import World
from tests.seaweedfs import SeaweedFs
from tests.small_disk import small_disk
from tests.tcp_proxy import TcpProxy

Make = Callable[[str], Replicated]


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


@pytest.fixture
def make(world: World, forking: Zygote, stack: AsyncExitStack) -> Callable[..., Replicated]:
    def make(url: str, env: dict[str, str] | None = None) -> Replicated:
        made = Replicated(world, url, forking, env or {})
        stack.callback(made.close)
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
        status = await replicated.until(lambda status: status.state == "unreachable")
        assert status.last_error is not None
        assert told in status.last_error
        shown = await asyncio.to_thread(replicated.run, "replicate", "status")
        assert shown.returncode == 1
        assert told in shown.stdout.replace("\n", " ")
        await world.create(world.alice, "still-served")
    await replicated.until_all_is_copied()
    await check_restored(replicated)


async def check_restored(replicated: Replicated) -> None:
    """All that the server has comes back."""
    to = replicated.data.with_name("restored")
    done = await asyncio.to_thread(replicated.restore, to)
    assert done.returncode == 0, done
    assert records_in(to) == records_in(replicated.data)
    assert keys_in(to) == keys_in(replicated.data)
    assert blobs_in(to) == blobs_in(replicated.data)
    assert "Traceback" not in replicated.log()


@pytest.mark.parametrize(
    ("trouble", "told"),
    [
        (troubles.directory_gone, "mounted"),
        (troubles.directory_read_only, "write"),
    ],
)
async def test_a_directory_in_trouble(
    world: World,
    make: Make,
    tmp_path: Path,
    trouble: Callable[[Path], Trouble],
    told: str,
) -> None:
    replica = tmp_path / "replica"
    troubles.make(replica)
    world.start()
    replicated = make(f"file://{replica}")
    replicated.start(powerless=True)
    await check(replicated, trouble(replica), told)


async def test_a_full_disk(world: World, make: Make, stack: AsyncExitStack, tmp_path: Path) -> None:
    disk = stack.enter_context(small_disk(tmp_path / "disk", size_mb=16))
    world.start()
    replicated = make(f"file://{disk}")
    replicated.start()
    await check(replicated, troubles.directory_full(disk), "room")


@pytest.mark.parametrize(
    ("status", "code", "told"),
    [
        (503, "SlowDown", "slow down"),
        (500, "InternalError", "does not"),
        (403, "AccessDenied", "permi"),
        (403, "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"),
        (403, "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"),
        (404, "NoSuchBucket", "bucket"),
        (403, "RequestTimeTooSkewed", "clock"),
        (507, "InsufficientStorage", "room"),
    ],
)
async def test_an_s3_server_that_refuses(
    world: World, make: Make, s3: SeaweedFs, proxy: TcpProxy, status: int, code: str, told: str
) -> None:
    world.start()
    replicated = make(*await on_s3(s3, proxy.port))
    replicated.start()
    await check(replicated, troubles.server_says(proxy, status, code), told)


async def test_an_s3_server_that_stalls(
    world: World, make: Make, s3: SeaweedFs, proxy: TcpProxy
) -> None:
    world.start()
    replicated = make(*await on_s3(s3, proxy.port))
    replicated.start()
    await check(replicated, troubles.server_stalls(proxy), "answer")


async def test_an_s3_server_that_ends_and_starts_again(
    world: World, make: Make, s3: SeaweedFs
) -> None:
    world.start()
    replicated = make(*await on_s3(s3, s3.port))
    replicated.start()
    await check(replicated, troubles.server_gone(s3), "connect")


async def on_s3(s3: SeaweedFs, port: int) -> tuple[str, dict[str, str]]:
    """A new prefix on a server that is reached by a port, and the credentials."""
    bucket = (await s3.create_bucket()).bucket
    url = f"s3://{bucket}/pds?endpoint=http://127.0.0.1:{port}&region=us-east-1"
    return url, s3_credentials(s3)


def s3_credentials(s3: SeaweedFs) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": s3.access_key_id,
        "AWS_SECRET_ACCESS_KEY": s3.secret_access_key,
    }
