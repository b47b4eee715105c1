"""Ids of requests: who may give them, and that answers and log lines have the same."""

from __future__ import annotations

import re

import aiohttp
import pytest
import structlog
from aiohttp.test_utils import make_mocked_request
from structlog.testing import capture_logs

from pds.config.addresses import PRIVATE_NETWORKS
from pds.monitoring.requests.client_address import ClientAddresses
from pds.monitoring.requests.request_info import begin_request
from tests.pds.conftest import Account, Pds
from tests.pds.monitoring.requests.peers import transport_from


def id_given_to(peer: str, given: str | None) -> str:
    headers = {} if given is None else {"X-Request-Id": given}
    request = make_mocked_request("GET", "/", headers, transport=transport_from(peer))
    return begin_request(request, ClientAddresses(PRIVATE_NETWORKS)).request_id


@pytest.mark.parametrize("peer", ["127.0.0.1", "10.0.0.1", "fd00::7"])
def test_an_id_of_a_proxy_nearby_is_kept(peer: str) -> None:
    assert id_given_to(peer, "from-caddy_1:2/3") == "from-caddy_1:2/3"


@pytest.mark.parametrize("given", [None, "", "x" * 65, "two words", "a\tb", "ümlaut", "\x7f"])
def test_an_id_that_is_no_id_is_replaced(given: str | None) -> None:
    made = id_given_to("127.0.0.1", given)
    assert re.fullmatch("[0-9a-f]{16}", made)
    assert made != id_given_to("127.0.0.1", given)


def test_a_stranger_gives_no_ids() -> None:
    assert re.fullmatch("[0-9a-f]{16}", id_given_to("8.8.8.8", "mine"))


@pytest.mark.parametrize(
    ("verb", "path", "status"),
    [
        ("GET", "/xrpc/_health", 200),
        ("GET", "/xrpc/com.atproto.server.describeServer", 200),
        ("OPTIONS", "/xrpc/com.atproto.server.describeServer", 204),
        ("GET", "/xrpc/com.atproto.server.getSession", 401),
        ("GET", "/xrpc/com.example.unknown", 400),
        ("GET", "/robots.txt", 200),
        ("GET", "/nowhere", 404),
    ],
)
async def test_every_answer_has_its_id(pds: Pds, verb: str, path: str, status: int) -> None:
    reply = await pds.request(verb, path, headers={"X-Request-Id": "mine"})
    assert (reply.status, reply.headers["X-Request-Id"]) == (status, "mine")
    other = await pds.request(verb, path)
    assert re.fullmatch("[0-9a-f]{16}", other.headers["X-Request-Id"])


async def test_streams_and_subscriptions_have_their_id(pds: Pds, alice: Account) -> None:
    reply = await pds.get("com.atproto.sync.getRepo", {"X-Request-Id": "car"}, did=alice.did)
    assert (reply.status, reply.headers["X-Request-Id"]) == (200, "car")
    url = f"{pds.url}/xrpc/com.atproto.sync.subscribeRepos"
    async with pds.http.ws_connect(url, headers={"X-Request-Id": "socket"}) as socket:
        assert socket._response.headers["X-Request-Id"] == "socket"


async def test_a_failure_names_the_id_that_its_log_line_has(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("private")

    monkeypatch.setattr(pds.ctx.accounts, "find_account", fail)
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as lines:
        reply = await pds.get("com.atproto.repo.describeRepo", repo=alice.did)
    request_id = reply.headers["X-Request-Id"]
    assert reply.json["message"] == f"Internal Server Error (request {request_id})"
    (failed,) = [line for line in lines if line["event"] == "request failed"]
    assert failed["request_id"] == request_id
    (request,) = [line for line in lines if line["event"] == "request"]
    assert (request["request_id"], request["status"]) == (request_id, 500)


async def test_a_failure_outside_of_xrpc_names_its_id_as_well(
    pds: Pds, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("private")

    monkeypatch.setattr(pds.ctx.accounts, "find_account", fail)
    reply = await pds.request("GET", "/.well-known/atproto-did", headers={"Host": "alice.test"})
    request_id = reply.headers["X-Request-Id"]
    assert (reply.status, reply.body.decode()) == (
        500,
        f"Internal Server Error (request {request_id})\n",
    )


async def test_requests_of_one_connection_share_no_id(pds: Pds) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as http:
        ids = set()
        for _ in range(5):
            async with http.get(f"{pds.url}/robots.txt") as response:
                ids.add(response.headers["X-Request-Id"])
    assert len(ids) == 5
