"""The health check, which load balancers and the container ask: it sees what is really broken."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from database.connection import Database
from pds.monitoring.health.check import HealthCheck
from pds.monitoring.health.probes import DirectoryProbe
from pds.monitoring.health.server_check import make_health_check
from tests.pds.api.records import create
from tests.pds.conftest import Account, Pds, Reply, basic_auth

PUBLIC = {"X-Forwarded-For": "203.0.113.9"}

Break = Callable[[Path], None]


async def health(pds: Pds, headers: dict[str, str] | None = None) -> Reply:
    """The answer as of now, not as of the last second."""
    pds.ctx.health._good_until = 0.0
    return await pds.request("GET", "/xrpc/_health", headers=headers)


async def failing(pds: Pds) -> dict[str, dict[str, str]]:
    """What is wrong, by the name of the check; the answer must be a 503."""
    reply = await health(pds)
    assert reply.status == 503
    assert reply.json["error"] == "Service Unavailable"
    assert reply.json["version"] == pds.ctx.settings.version
    return {one["check"]: one for one in reply.json["checks"]}


async def test_health_names_the_version_and_nothing_else(pds: Pds) -> None:
    reply = await health(pds)
    assert reply.status == 200
    assert reply.json == {"version": pds.ctx.settings.version}
    assert reply.headers["Access-Control-Allow-Origin"] == "*"


# --- Databases


def remove(path: Path) -> None:
    path.unlink()


def replace(path: Path) -> None:
    copy = path.with_name("copy")
    shutil.copy(path, copy)
    copy.replace(path)


def scribble(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(b"\xa5" * path.stat().st_size)


def cut_off(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(4096)


def empty(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(0)


@pytest.mark.parametrize(
    ("breaks", "reason"),
    [
        (remove, "No such file"),
        (replace, "was replaced"),
        (scribble, "not a database"),
        (cut_off, "malformed"),
        (empty, ""),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
@pytest.mark.parametrize(
    ("name", "check"),
    [
        ("account.sqlite", "service database"),
        ("sequencer.sqlite", "event log"),
        ("did_cache.sqlite", "DID cache"),
    ],
)
async def test_a_database_whose_file_is_broken_is_told(
    pds: Pds, alice: Account, name: str, check: str, breaks: Break, reason: str
) -> None:
    path = pds.ctx.settings.data_directory / name
    for db in databases(pds):
        # New pages are in the WAL otherwise, and the file does not matter yet.
        db.checkpoint()
    kept = path.with_name("kept")
    kept.hardlink_to(path) if breaks in (remove, replace) else shutil.copy(path, kept)
    breaks(path)
    found = await failing(pds)
    assert set(found) == {check}
    assert str(path) in found[check]["reason"]
    assert reason in found[check]["reason"]
    assert found[check]["remedy"].endswith(".")
    if breaks in (remove, replace):
        kept.replace(path)
    else:
        path.write_bytes(kept.read_bytes())
    assert (await health(pds)).status == 200


async def test_a_database_that_the_server_cannot_use_is_told(pds: Pds) -> None:
    pds.ctx.accounts.db.close()
    assert set(await failing(pds)) == {"service database"}


def databases(pds: Pds) -> Iterator[Database]:
    yield pds.ctx.accounts.db
    yield pds.ctx.sequencer.log._db
    yield pds.ctx.did_resolver._cache._db


# --- The event log


async def test_a_log_that_takes_no_events_is_told(pds: Pds, alice: Account) -> None:
    db = pds.ctx.sequencer.log._db
    db.run(f"PRAGMA max_page_count = {db.value('PRAGMA page_count')}")
    await create(pds, alice, {"x": "x" * 200_000})
    found = await failing(pds)
    assert set(found) == {"event log"}
    assert "1 events wait" in found["event log"]["reason"]
    db.run("PRAGMA max_page_count = 1000000")
    assert (await create(pds, alice, {"n": 1})).status == 200
    assert (await health(pds)).status == 200


# --- Blobs


def blobs_of(pds: Pds) -> Path:
    directory = pds.ctx.settings.blob_directory
    assert directory is not None
    return directory


async def test_a_blob_directory_that_is_gone_is_told(pds: Pds) -> None:
    blobs = blobs_of(pds)
    moved = blobs.rename(blobs.with_name("moved"))
    found = await failing(pds)
    assert set(found) == {"blob directory", "upload directory"}
    assert found["blob directory"]["remedy"] == "See that its disk is mounted."
    moved.rename(blobs)
    assert (await health(pds)).status == 200


async def test_a_file_in_place_of_the_blob_directory_is_told(pds: Pds) -> None:
    blobs = blobs_of(pds)
    shutil.rmtree(blobs)
    blobs.write_bytes(b"")
    assert set(await failing(pds)) == {"blob directory", "upload directory"}


def test_a_disk_without_room_for_a_blob_is_told(tmp_path: Path) -> None:
    (failure,) = DirectoryProbe("blobs", tmp_path, needed_bytes=2**80).failures()
    assert "has room for" in failure.reason
    assert failure.remedy == "Free space on its disk."
    assert list(DirectoryProbe("blobs", tmp_path, needed_bytes=1).failures()) == []


async def test_a_disk_that_is_full_to_the_last_byte_is_told(pds: Pds) -> None:
    # A file that is always full stands for the one that would be written.
    (blobs_of(pds) / ".holdfast-health").symlink_to("/dev/full")
    found = await failing(pds)
    assert set(found) == {"blob directory"}
    assert "No space left on device" in found["blob directory"]["reason"]
    assert (await health(pds)).status == 200


async def test_looking_leaves_no_file(pds: Pds) -> None:
    await health(pds)
    assert [path for path in blobs_of(pds).rglob("*") if path.is_file()] == []


# --- Who is told what


@pytest.fixture
async def broken(pds: Pds) -> Pds:
    shutil.rmtree(blobs_of(pds))
    return pds


@pytest.mark.parametrize(
    "headers",
    [
        PUBLIC,
        {**PUBLIC, **basic_auth("admin", "wrong")},
        {**PUBLIC, "Authorization": "Bearer nonsense"},
        {"X-Forwarded-For": "127.0.0.1, 203.0.113.9"},
    ],
)
async def test_strangers_learn_only_that_something_is_wrong(
    broken: Pds, headers: dict[str, str]
) -> None:
    reply = await health(broken, headers)
    assert reply.status == 503
    assert reply.json == {
        "version": broken.ctx.settings.version,
        "error": "Service Unavailable",
    }


async def test_neighbours_and_the_administrator_learn_what(broken: Pds) -> None:
    for headers in ({}, {"X-Forwarded-For": "192.168.1.7"}, {**PUBLIC, **broken.admin}):
        reply = await health(broken, headers)
        assert reply.status == 503
        assert len(reply.json["checks"]) == 2


async def test_the_log_tells_once_what_is_wrong_and_when_it_is_over(pds: Pds) -> None:
    blobs = blobs_of(pds)
    moved = blobs.rename(blobs.with_name("moved"))
    with capture_logs() as lines:
        await health(pds)
        await health(pds)
        moved.rename(blobs)
        await health(pds)
        await health(pds)
    told: list[Any] = [line for line in lines if "health" in line["event"]]
    assert [(line["event"], line.get("check")) for line in told] == [
        ("not healthy", "blob directory"),
        ("not healthy", "upload directory"),
        ("healthy again", None),
    ]


async def test_blobs_elsewhere_are_not_looked_for(pds: Pds) -> None:
    """Nothing is known of the room in a bucket."""
    settings = pds.ctx.settings.model_copy(
        update={"blobstore": pds.ctx.settings.blobstore.model_copy(update={"disk_location": None})}
    )
    shutil.rmtree(blobs_of(pds))
    check: HealthCheck = make_health_check(
        settings,
        pds.ctx.accounts,
        pds.ctx.sequencer,
        pds.ctx.did_resolver._cache,
        pds.ctx.unfinished,
    )
    assert await check.failures() == ()
