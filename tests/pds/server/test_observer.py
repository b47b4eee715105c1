"""The line and the count of each request."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from pds.monitoring.requests.statistics import BOUNDS_S, MethodStatistics
from tests.pds.conftest import Account, Pds

DESCRIBE = "com.atproto.server.describeServer"


class Lines:
    """What has been logged since the start of the test."""

    def __init__(self, captured: list[Any]) -> None:
        self._captured = captured

    @property
    def requests(self) -> list[Any]:
        return [line for line in self._captured if line["event"] == "request"]

    @property
    def last(self) -> Any:
        return self.requests[-1]

    @property
    def text(self) -> str:
        return repr(self._captured)


@pytest.fixture
def lines() -> Iterator[Lines]:
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as captured:
        yield Lines(captured)


def counted(pds: Pds) -> Counter[tuple[str, int]]:
    """Requests so far, by name and status."""
    return Counter(
        {
            (method.name, status): count
            for method in pds.ctx.requests.methods.values()
            for status, count in method.answers.items()
        }
    )


async def until_counted(pds: Pds, method: str, status: int) -> None:
    async with asyncio.timeout(20):
        while not pds.ctx.requests.methods[method].answers[status]:  # noqa: ASYNC110 (nothing tells it)
            await asyncio.sleep(0)


async def test_a_line_tells_who_asked_for_what_and_how_it_ended(
    pds: Pds, alice: Account, lines: Lines
) -> None:
    reply = await pds.get("com.atproto.server.getSession", alice.auth)
    line = lines.last
    assert 0 < line.pop("duration_ms") < 10_000
    assert line == {
        "event": "request",
        "log_level": "info",
        "method": "com.atproto.server.getSession",
        "verb": "GET",
        "status": 200,
        "did": alice.did,
        "client": "127.0.0.1",
        "request_id": reply.headers["X-Request-Id"],
    }


async def test_the_client_is_the_one_that_the_proxy_names(pds: Pds, lines: Lines) -> None:
    await pds.get(DESCRIBE, {"X-Forwarded-For": "203.0.113.9"})
    assert lines.last["client"] == "203.0.113.9"


async def test_a_refused_token_names_no_account(pds: Pds, alice: Account, lines: Lines) -> None:
    await pds.get("com.atproto.server.getSession", alice.refresh_auth)
    assert lines.last["status"] == 400
    assert "did" not in lines.last
    await pds.post("com.atproto.server.refreshSession", headers=alice.refresh_auth)
    assert lines.last["did"] == alice.did


async def test_no_secret_is_logged(pds: Pds, alice: Account, lines: Lines) -> None:
    await pds.get("com.atproto.server.getSession", alice.auth)
    await pds.post(
        "com.atproto.server.createSession",
        {"identifier": alice.handle, "password": "wrong-password"},
    )
    await pds.request("GET", "/anywhere", params={"token": "in-the-query"})
    await pds.get("com.example.unknown", token="in-the-query")
    await pds.post("com.atproto.server.createInviteCode", {"useCount": 1}, pds.admin)
    assert len(lines.requests) == 5
    secrets = (alice.access_jwt, alice.password, "wrong-password", "in-the-query", "Basic ")
    assert [secret for secret in secrets if secret in lines.text] == []


async def test_paths_that_are_no_method_are_told_in_part(pds: Pds, lines: Lines) -> None:
    await pds.get("com.example." + "x" * 1000)
    assert lines.last["path"] == ("/xrpc/com.example." + "x" * 1000)[:200]
    assert "method" not in lines.last
    await pds.request("GET", "/robots.txt")
    assert lines.last["path"] == "/robots.txt"


async def test_health_checks_fill_no_log(pds: Pds, lines: Lines) -> None:
    await pds.request("GET", "/xrpc/_health")
    assert lines.last["log_level"] == "debug"


async def test_requests_are_counted_by_method_and_status(pds: Pds, alice: Account) -> None:
    before = counted(pds)
    for _ in range(3):
        await pds.get(DESCRIBE)
    await pds.get(DESCRIBE + "/")
    await pds.post(DESCRIBE)
    await pds.request("OPTIONS", f"/xrpc/{DESCRIBE}")
    await pds.request("GET", "/xrpc/_health")
    await pds.request("GET", "/robots.txt")
    await pds.request("GET", "/nowhere")
    assert counted(pds) - before == {
        (DESCRIBE, 200): 4,
        (DESCRIBE, 400): 1,
        ("preflight", 204): 1,
        ("_health", 200): 1,
        ("web", 200): 1,
        ("web", 404): 1,
    }


async def test_methods_of_other_services_have_their_names(pds: Pds, alice: Account) -> None:
    nsid = "app.bsky.feed.getTimeline"
    before = counted(pds)
    reply = await pds.get(nsid, alice.auth)
    assert counted(pds) - before == {(nsid, reply.status): 1}


async def test_strangers_make_no_names(pds: Pds) -> None:
    before = set(pds.ctx.requests.methods)
    for number in range(20):
        await pds.get(f"com.example.made{number}")
        await pds.request("GET", f"/made/{number}")
        await pds.request("GET", f"/xrpc/{DESCRIBE}{number}")
    assert set(pds.ctx.requests.methods) == before
    assert pds.ctx.requests.methods["other"].answers == {400: 40}
    assert pds.ctx.requests.methods["web"].answers == {404: 20}


@pytest.mark.parametrize("name", ["other", "web", "preflight", "_health/", "_health//"])
async def test_our_own_names_are_no_methods(pds: Pds, lines: Lines, name: str) -> None:
    before = counted(pds)
    assert (await pds.get(name)).status == 400
    assert counted(pds) - before == {("other", 400): 1}
    assert (lines.last["log_level"], lines.last["path"]) == ("info", f"/xrpc/{name}")


async def test_a_client_that_leaves_is_no_failure(
    pds: Pds, caplog: pytest.LogCaptureFixture
) -> None:
    host, port = "127.0.0.1", int(pds.url.rpartition(":")[2])
    _, writer = await asyncio.open_connection(host, port)
    writer.write(
        b"POST /xrpc/com.atproto.server.createSession HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    writer.close()
    await writer.wait_closed()
    await until_counted(pds, "com.atproto.server.createSession", 499)
    assert "aiohttp.server" not in caplog.text


async def test_a_subscription_is_counted_and_says_nothing_of_speed(pds: Pds) -> None:
    nsid = "com.atproto.sync.subscribeRepos"
    async with pds.http.ws_connect(f"{pds.url}/xrpc/{nsid}") as socket:
        await socket.close()
    await until_counted(pds, nsid, 101)
    assert sum(pds.ctx.requests.methods[nsid].durations) == 0


def test_durations_are_counted_in_the_class_they_fit() -> None:
    statistics = MethodStatistics("a.b.c")
    for seconds in (0.0, 0.001, 0.0011, 10.0, 11.0):
        statistics.note(200, seconds)
    assert statistics.durations[:2] == [2, 1]
    assert statistics.durations[-2:] == [1, 1]
    assert len(statistics.durations) == len(BOUNDS_S) + 1
    assert statistics.seconds == pytest.approx(21.0021)
