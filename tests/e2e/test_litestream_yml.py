"""The top-level litestream.yml with the real daemon beside a server under load, and the restore."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from pds.replication.replica.names import actor_database
from tests.e2e.beside_litestream import Destination, Replicated, checkpoints, replicated
from tests.e2e.soak import at_length_only, seconds
from tests.e2e.writers import Writer
from tests.processes import DevServer, free_port, run_pds, serve
from tests.seaweedfs import SeaweedFs

_LOAD_S: Final = seconds(4, 240)
_ACCOUNTS: Final = 4
_MAX_WAL_BYTES: Final = 128 * 1024 * 1024
"""A WAL has what is written in a second or two, because Litestream makes a checkpoint each second
while it is longer than 4 MiB. One account writes as fast as it can, some 15 MiB a second."""
_MUCH: Final = "much text " * 800
_SEEN_S: Final = 60.0
_LOCKED: Final = ("database is locked", "SQLITE_BUSY", "BusyError")


@pytest.fixture(scope="module")
def plc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    """A PLC directory, in a server that nobody uses otherwise."""
    server = DevServer.start(tmp_path_factory.mktemp("plc"))
    yield server
    server.kill()


@pytest.fixture
async def destination(request: pytest.FixtureRequest, tmp_path: Path) -> Destination:
    """A directory, or a bucket of a real S3 server."""
    if request.param == "file":
        return Destination(f"file://{tmp_path / 'replica'}", "", {})
    seaweedfs: SeaweedFs = request.getfixturevalue("seaweedfs")
    bucket = (await seaweedfs.create_bucket()).bucket
    return Destination(
        f"s3://{bucket}/pds",
        f"?endpoint={seaweedfs.url}&region=us-east-1&force-path-style=true",
        seaweedfs.credentials,
    )


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    """A client."""
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.mark.timeout(120 + 2 * _LOAD_S)
@pytest.mark.parametrize(
    "destination", ["file", pytest.param("s3", marks=at_length_only)], indirect=True
)
async def test_a_server_under_load_is_replicated_without_harm_and_restored_whole(
    plc: DevServer, destination: Destination, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    with replicated(tmp_path, plc, destination) as both:
        writers = [await join(both, http, number) for number in range(_ACCOUNTS)]
        largest = await watch_wals_during(both, load(both, http, writers))
        await until_replicated(both, writers, tmp_path / "look")
        check_logs(both)
        assert max(largest.values()) < _MAX_WAL_BYTES
        for database in (
            both.data / "sequencer.sqlite",
            both.data / actor_database(writers[0].did),
        ):
            wal = database.with_name(f"{database.name}-wal")
            assert checkpoints(wal) > _LOAD_S / 5, "nobody makes checkpoints"
        await write_until_it_is_killed(both, writers)
        restored = both.restore_all([writer.did for writer in writers], tmp_path / "restored")
    await check_restored(restored, writers, tmp_path)


async def join(both: Replicated, http: aiohttp.ClientSession, number: int) -> Writer:
    """Make an account."""
    return await Writer.join(both, http, f"writer{number}")


async def load(both: Replicated, http: aiohttp.ClientSession, writers: list[Writer]) -> None:
    """Write for a while: many small records, some large ones, preferences; and new accounts."""
    deadline = time.monotonic() + _LOAD_S

    async def work(writer: Writer, *, is_heavy: bool) -> None:
        while time.monotonic() < deadline:
            number = len(writer.promised)
            await writer.write(f"{number} {_MUCH if is_heavy else ''}")
            await asyncio.sleep(0 if is_heavy else 0.05)
            if number % 10 == 0:
                await prefer(writer, number)

    async def come_later() -> None:
        await asyncio.sleep(_LOAD_S / 3)
        writers.append(await join(both, http, len(writers)))
        await work(writers[-1], is_heavy=False)

    at_work = [work(writer, is_heavy=place == 0) for place, writer in enumerate(writers)]
    await asyncio.gather(*at_work, come_later())


async def prefer(writer: Writer, number: int) -> None:
    """Write preferences, which make no event."""
    birth = f"{1900 + number % 100}-01-01T00:00:00Z"
    preference = {"$type": "app.bsky.actor.defs#personalDetailsPref", "birthDate": birth}
    url = f"{writer.server.url}/xrpc/app.bsky.actor.putPreferences"
    body = {"preferences": [preference]}
    async with writer.http.post(url, json=body, headers=writer.auth) as response:
        assert response.status == 200, await response.text()


async def watch_wals_during(both: Replicated, work: Any) -> dict[Path, int]:
    """The largest size that each WAL had meanwhile."""
    largest: dict[Path, int] = {}
    working = asyncio.ensure_future(work)
    while not working.done():
        await asyncio.wait((working,), timeout=0.2)
        for path, size in both.wals().items():
            largest[path] = max(size, largest.get(path, 0))
    await working
    return largest


async def until_replicated(both: Replicated, writers: list[Writer], to: Path) -> None:
    """Write a last record to each account, and wait until the replica has it."""
    for writer in writers:
        mark = f"mark of {writer.did}"
        await writer.write(mark)
        async with asyncio.timeout(_SEEN_S):
            while not await asyncio.to_thread(has, both, writer, mark, to):  # noqa: ASYNC110
                await asyncio.sleep(0.2)


def has(both: Replicated, writer: Writer, mark: str, directory: Path) -> bool:
    """Whether what the replica has of an actor contains a text."""
    to = directory / writer.did
    is_there = both.restore(actor_database(writer.did), to, check=False)
    return is_there and mark.encode() in to.read_bytes()


def check_logs(both: Replicated) -> None:
    """Nothing was locked, failed or crashed on either side."""
    log = both.server.log()
    assert not [word for word in (*_LOCKED, "Traceback") if word in log + both.litestream_log]
    assert [
        line for line in map(json.loads, log.splitlines()) if line.get("status", 0) >= 500
    ] == []
    assert [line for line in both.litestream_log.splitlines() if "level=ERROR" in line] == []
    assert both.litestream.poll() is None


async def write_until_it_is_killed(both: Replicated, writers: list[Writer]) -> None:
    """End both processes in the middle of writes, of which nothing is expected to be kept."""
    promised = [dict(writer.promised) for writer in writers]

    async def write_on(writer: Writer) -> None:
        with suppress(aiohttp.ClientError):
            while True:
                await writer.write("perhaps lost")

    writing = [asyncio.ensure_future(write_on(writer)) for writer in writers]
    await asyncio.wait(writing, timeout=0.7)
    await asyncio.to_thread(both.kill)
    await asyncio.wait(writing)
    for writer, kept in zip(writers, promised, strict=True):
        writer.promised = kept


async def check_restored(variables: dict[str, str], writers: list[Writer], directory: Path) -> None:
    """A server starts on the restored directory, has every promised record, and is healthy."""
    data = Path(variables["PDS_DATA_DIRECTORY"])
    env_file = data / "dev.env"
    env_file.write_text("".join(f"{name}='{value}'\n" for name, value in variables.items()))
    server = serve(variables, port=free_port(), log_file=directory / "restored.log")
    try:
        for writer in writers:
            writer.server = server
            await writer.check_promises()
            await writer.write("after the restore")
        assert server.stop() == 0
        assert "Traceback" not in server.log()
    finally:
        server.kill()
    done = await asyncio.to_thread(
        run_pds, "doctor", "--offline", "--blobs", "--json", "--env-file", str(env_file)
    )
    findings = json.loads(done.stdout)["findings"]
    assert [one for one in findings if one["status"] == "error"] == []
    assert {"database", "heads"} <= {one["check"] for one in findings}
