"""Metrics: each tells what has happened, and none tells of whom."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from database.opening import open_database
from pds.server.run import serve
from tests.pds.api.records import create, delete, put
from tests.pds.conftest import Account, Pds
from tests.pds.metrics.scrape import Metrics, scrape
from tests.pds.served import settings_on
from tests.processes import free_port

DESCRIBE = "com.atproto.server.describeServer"


async def test_requests_are_told_by_method_status_and_duration(pds: Pds) -> None:
    for _ in range(3):
        await pds.get(DESCRIBE)
    await pds.post(DESCRIBE)
    refused = str((await pds.get("com.example.unknown")).status)
    metrics = await scrape(pds)
    assert metrics.value("requests_total", {"method": DESCRIBE, "status": "200"}) == 3
    assert metrics.value("requests_total", {"method": DESCRIBE, "status": "400"}) == 1
    assert metrics.value("requests_total", {"method": "other", "status": refused}) == 1
    labels = {"method": DESCRIBE}
    assert metrics.value("request_duration_seconds_count", labels) == 4
    assert metrics.value("request_duration_seconds_bucket", {**labels, "le": "+Inf"}) == 4
    assert 0 < metrics.value("request_duration_seconds_sum", labels) < 10
    buckets = [
        metrics.value("request_duration_seconds_bucket", {**labels, "le": bound})
        for bound in ("0.001", "0.05", "10.0")
    ]
    assert buckets == sorted(buckets)


async def test_writes_and_events_are_told_by_kind(pds: Pds, alice: Account) -> None:
    before = await scrape(pds)
    await create(pds, alice, {"n": 1}, rkey="one")
    await create(pds, alice, {"n": 2}, rkey="two")
    await put(pds, alice, "one", {"n": 3})
    await delete(pds, alice, "two")
    after = await scrape(pds)

    def risen(name: str, **labels: str) -> float:
        return after.value(name, labels) - before.value(name, labels)

    assert risen("record_writes_total", action="create") == 2
    assert risen("record_writes_total", action="update") == 1
    assert risen("record_writes_total", action="delete") == 1
    assert risen("events_total", type="commit") == 4
    assert before.value("events_total", {"type": "identity"}) >= 1
    assert before.value("events_total", {"type": "account"}) >= 1
    assert after["event_seq"] == pds.ctx.sequencer.current_seq
    assert risen("transactions_total", database="actors") == 4
    assert 0 < risen("transaction_seconds_total", database="actors") < 10
    assert risen("transactions_total", database="sequencer") == 4


async def test_a_busy_database_is_told(pds: Pds, alice: Account) -> None:
    other = open_database(pds.ctx.actor_store.layout.store(alice.did))
    with other.transaction():
        writing = asyncio.create_task(create(pds, alice, {"n": 1}))
        async with asyncio.timeout(20):
            while not (await scrape(pds)).value("database_busy_total", {"database": "actors"}):
                continue
    assert (await writing).status == 200
    other.close()


async def test_subscribers_are_told_with_their_lag(pds: Pds, alice: Account) -> None:
    assert (await scrape(pds)).value("subscribers", {"state": "live"}) == 0
    url = f"{pds.url}/xrpc/com.atproto.sync.subscribeRepos"
    async with pds.http.ws_connect(url, params={"cursor": 0}) as socket:
        await socket.receive_bytes()
        metrics = await scrape(pds)
        assert metrics.value("subscribers", {"state": "live"}) == 1
        assert metrics.value("subscribers", {"state": "backfill"}) == 0
        assert metrics.value("subscriber_lag_events", {"state": "live"}) >= 0
    assert metrics["subscribers_cut_off_total"] == 0


async def test_caches_and_open_stores_are_told(pds: Pds, alice: Account) -> None:
    await create(pds, alice, {"n": 1}, rkey="one")
    params: dict[str, Any] = {"repo": alice.did, "collection": "com.example.note", "rkey": "one"}
    before = await scrape(pds)
    for _ in range(3):
        await pds.get("com.atproto.repo.getRecord", **params)
    after = await scrape(pds)
    assert after["open_actor_stores"] == 1
    assert after["open_actor_stores_max"] > 100
    for cache in ("actor_stores", "tree_nodes", "records"):
        labels = {"cache": cache}
        assert after.value("cache_hits_total", labels) >= before.value("cache_hits_total", labels)
    assert after.value("cache_hits_total", {"cache": "actor_stores"}) > before.value(
        "cache_hits_total", {"cache": "actor_stores"}
    )
    assert after.value("cache_bytes", {"cache": "tree_nodes"}) > 0


async def test_files_are_told_with_their_sizes(pds: Pds, alice: Account) -> None:
    blob = (await pds.upload(alice, b"x" * 5_000)).json["blob"]
    await create(pds, alice, {"blob": blob})
    await pds.upload(alice, b"y" * 700)
    assert await pds.ctx.storage.current(patience_s=5) is not None
    metrics = await scrape(pds)
    for name in ("account", "sequencer", "did_cache", "actors"):
        # New databases may be in their WALs yet.
        labels = {"database": name}
        assert metrics.value("database_bytes", labels) + metrics.value("wal_bytes", labels) > 4096
    assert metrics["actor_stores"] == 1
    assert metrics.value("blobs", {"state": "permanent"}) == 1
    assert metrics.value("blob_bytes", {"state": "permanent"}) == 5_000
    assert metrics.value("blob_bytes", {"state": "temporary"}) == 700
    directory = {"directory": str(pds.ctx.settings.data_directory)}
    free, total = (metrics.value(f"disk_{what}_bytes", directory) for what in ("free", "total"))
    assert 0 < free < total


async def test_a_log_that_refuses_events_is_told(pds: Pds, alice: Account) -> None:
    db = pds.ctx.sequencer._db
    assert (await scrape(pds))["event_log_refusing"] == 0
    db.run(f"PRAGMA max_page_count = {db.value('PRAGMA page_count')}")
    await create(pds, alice, {"x": "x" * 200_000})
    metrics = await scrape(pds)
    assert metrics["event_log_refusing"] == 1
    assert metrics.value("queue_length", {"queue": "events"}) == 1
    db.run("PRAGMA max_page_count = 1000000")


async def test_no_label_tells_of_whom(pds: Pds, alice: Account) -> None:
    await create(pds, alice, {"n": 1})
    await pds.get("com.atproto.sync.getRepo", did=alice.did)
    await pds.get(f"com.example.{alice.handle.partition('.')[0]}")
    await pds.request("GET", f"/{alice.did}")
    metrics = await scrape(pds)
    for secret in (alice.did, alice.handle, alice.email, "127.0.0.1", "com.example"):
        assert secret not in metrics.text
    assert metrics.labels.keys() == {
        *("method", "status", "le", "action", "type", "database", "queue", "state", "cache"),
        *("directory", "version"),
    }


async def test_every_metric_says_what_it_is(pds: Pds) -> None:
    metrics = await scrape(pds)
    assert all(metrics.help.values())
    ours = {name for name in metrics.help if not name.startswith("process_")}
    assert all(name.startswith("holdfast") for name in ours)
    assert "process_resident_memory_bytes" in metrics.help


@pytest.fixture(autouse=True)
def _leave_the_collector_of_the_tests_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pds.server.run.tune_garbage_collector", lambda: None)


async def test_metrics_are_served_on_a_port_of_their_own_and_nowhere_else(tmp_path: Path) -> None:
    settings = settings_on(tmp_path, PDS_METRICS_PORT=str(free_port()))
    ready = asyncio.Event()
    serving = asyncio.create_task(serve(settings, on_ready=lambda _ctx: ready.set()))
    await ready.wait()
    async with aiohttp.ClientSession() as http:
        url = f"http://127.0.0.1:{settings.metrics.port}"
        async with http.get(f"{url}/metrics") as response:
            assert response.status == 200
            assert response.headers["Content-Type"].startswith("text/plain; version=")
            assert Metrics(await response.text())["event_seq"] == 0
        async with http.get(f"{url}/xrpc/_health") as response:
            assert response.status == 404
        async with http.get(f"http://127.0.0.1:{settings.service.port}/metrics") as response:
            assert response.status == 404
    signal.raise_signal(signal.SIGTERM)
    await serving


async def test_without_a_port_nothing_serves_metrics(tmp_path: Path) -> None:
    settings = settings_on(tmp_path)
    assert settings.metrics.port is None
    assert settings.metrics.host == "127.0.0.1"
    ready = asyncio.Event()
    serving = asyncio.create_task(serve(settings, on_ready=lambda _ctx: ready.set()))
    await ready.wait()
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"http://127.0.0.1:{settings.service.port}/metrics") as response,
    ):
        assert response.status == 404
    signal.raise_signal(signal.SIGTERM)
    await serving
