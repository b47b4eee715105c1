"""The limits that methods declare: each over HTTP, with other numbers, and by what it counts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pds.monitoring.logs.quick import PlainLog
from pds.monitoring.requests.lines import LOGGER
from pds.rate_limits.limit import by_did, by_identifier_and_ip, by_ip
from pds.rate_limits.method_limits import ALL_REQUESTS
from pds.server.app import RATE_LIMITER, make_router
from pds.server.observer import add_observed
from pds.xrpc.auth import user
from pds.xrpc.call import Answer, XrpcCall
from pds.xrpc.methods import XrpcMethods
from pds.xrpc.oauth_demands import ANY
from tests.pds.conftest import Account, Pds, Reply
from tests.pds.rate_limits.conftest import LIMITS, Clock, SetLimits, from_ip, told

MINUTES_5, HOUR, DAY = 300, 3600, 86_400
HERE, THERE = "198.51.100.1", "198.51.100.2"
NOTE = "com.example.note"
WRITES = "com.atproto.repo.applyWrites"
LOGIN = "com.atproto.server.createSession"

ONE_CREATE = {"$type": f"{WRITES}#create", "collection": NOTE, "value": {}}
ONE_UPDATE = {"$type": f"{WRITES}#update", "collection": NOTE, "rkey": "a", "value": {}}
ONE_DELETE = {"$type": f"{WRITES}#delete", "collection": NOTE, "rkey": "a"}

BODIES: dict[str, dict[str, Any]] = {
    "com.atproto.repo.createRecord": {"collection": NOTE, "record": {}},
    "com.atproto.repo.putRecord": {"collection": NOTE, "rkey": "a", "record": {}},
    "com.atproto.repo.deleteRecord": {"collection": NOTE, "rkey": "a"},
    WRITES: {"writes": [ONE_CREATE, ONE_UPDATE, ONE_DELETE, ONE_DELETE]},
    "com.atproto.server.createAccount": {"handle": "x.test"},
    LOGIN: {"identifier": "x.test", "password": "x"},
    "com.atproto.server.deleteAccount": {"did": "did:web:x.test", "password": "x", "token": "x"},
    "com.atproto.server.resetPassword": {"token": "x", "password": "x"},
    "com.atproto.server.requestPasswordReset": {"email": "x@example.com"},
    "com.atproto.identity.updateHandle": {"handle": "x.test"},
}
POINTS = {
    "com.atproto.repo.createRecord": 3,
    "com.atproto.repo.putRecord": 2,
    "com.atproto.repo.deleteRecord": 1,
    WRITES: 3 + 2 + 1 + 1,
}
"""What a call with the body above takes; 1 where nothing is said."""

every_method = pytest.mark.parametrize("nsid", LIMITS)


@pytest.fixture
async def stubs(pds: Pds) -> AsyncIterator[Pds]:
    """The real router and the real credentials, before methods that do nothing."""
    methods = XrpcMethods()

    async def do_nothing(_call: XrpcCall) -> Answer:
        return None

    for nsid, method in LIMITS.items():
        needs_account = any(limit.key is by_did for limit in method.limits)
        methods.method(nsid, auth=user(oauth=ANY) if needs_account else None)(do_nothing)
    router = make_router(pds.ctx, methods, rate_limiter=pds.app[RATE_LIMITER])
    app = web.Application()
    routes = [web.route("*", "/xrpc/{nsid:.*}", router.handle)]
    add_observed(app, routes, pds.ctx, PlainLog(LOGGER))
    async with TestServer(app) as server:
        yield replace(pds, url=str(server.make_url("/")).rstrip("/"))


async def call(pds: Pds, nsid: str, account: Account, ip: str = HERE, **changes: Any) -> Reply:
    headers = {**account.auth, **from_ip(ip)}
    if nsid == "com.atproto.sync.getRepo":
        return await pds.get(nsid, headers, did=account.did)
    if nsid == "com.atproto.repo.uploadBlob":
        headers["Content-Type"] = "image/png"
        return await pds.request("POST", f"/xrpc/{nsid}", headers=headers, data=b"x")
    body = BODIES.get(nsid)
    if body is not None and nsid.startswith("com.atproto.repo."):
        body = {"repo": account.did, **body}
    return await pds.post(nsid, None if body is None else body | changes, headers)


def test_each_counter_has_a_name_that_stays() -> None:
    """Redis keeps counters by name, over restarts and updates."""
    names = {nsid: [limit.name for limit in method.limits] for nsid, method in LIMITS.items()}
    assert names.pop(LOGIN) == [f"{LOGIN}-300", f"{LOGIN}-86400"]
    for nsid in POINTS:
        assert names.pop(nsid) == ["repo-write-hour", "repo-write-day"]
    assert all(name.startswith(nsid) for nsid, each in names.items() for name in each)


def test_the_limits_are_those_of_the_reference() -> None:
    def row(nsid: str) -> tuple[Any, list[tuple[int, int]]]:
        limits = LIMITS[nsid].limits
        (key,) = {limit.key for limit in limits}
        return key, [(limit.points, limit.window_s) for limit in limits]

    mails = by_did, [(5, HOUR), (15, DAY)]
    writes = by_did, [(5000, HOUR), (35_000, DAY)]
    assert {nsid: row(nsid) for nsid in LIMITS} == {
        "com.atproto.repo.createRecord": writes,
        "com.atproto.repo.putRecord": writes,
        "com.atproto.repo.deleteRecord": writes,
        "com.atproto.repo.applyWrites": writes,
        "com.atproto.repo.uploadBlob": (by_ip, [(1000, DAY)]),
        "com.atproto.server.createAccount": (by_ip, [(100, MINUTES_5)]),
        "com.atproto.server.createSession": (by_identifier_and_ip, [(30, MINUTES_5), (300, DAY)]),
        "com.atproto.server.resetPassword": (by_ip, [(50, MINUTES_5)]),
        "com.atproto.server.deleteAccount": (by_ip, [(50, MINUTES_5)]),
        "com.atproto.server.requestPasswordReset": (by_ip, [(15, HOUR), (50, DAY)]),
        "com.atproto.server.requestAccountDelete": mails,
        "com.atproto.server.requestEmailConfirmation": mails,
        "com.atproto.server.requestEmailUpdate": mails,
        "com.atproto.identity.updateHandle": (by_did, [(10, MINUTES_5), (50, DAY)]),
        "com.atproto.sync.getRepo": (by_ip, [(6000, MINUTES_5)]),
    }
    assert (ALL_REQUESTS.points, ALL_REQUESTS.window_s) == (3000, MINUTES_5)
    assert ALL_REQUESTS.key is by_ip


@every_method
async def test_calls_are_refused_until_the_window_ends(
    stubs: Pds, alice: Account, clock: Clock, set_limits: SetLimits, nsid: str
) -> None:
    windows = [limit.window_s for limit in LIMITS[nsid].limits]
    points = [2 * POINTS.get(nsid, 1), 4 * POINTS.get(nsid, 1)][: len(windows)]
    set_limits({nsid: tuple(points)})

    async def outcome() -> tuple[int, str, str]:
        reply = await call(stubs, nsid, alice)
        return reply.status, *told(reply)

    short = f"{points[0]};w={windows[0]}"
    once = str(points[0] // 2)
    assert [await outcome() for _ in range(4)] == [
        (200, short, once),
        (200, short, "0"),
        (429, short, "0"),
        (429, short, "0"),
    ]
    clock.advance(windows[0] - 0.001)
    assert (await outcome())[0] == 429
    clock.advance(0.001)
    if len(windows) == 1:
        assert await outcome() == (200, short, once)
        return
    # What was refused has counted for the day as well.
    long = f"{points[1]};w={windows[1]}"
    assert await outcome() == (429, long, "0")
    clock.advance(windows[1] - windows[0])
    assert await outcome() == (200, short, once)


@every_method
async def test_others_have_counts_of_their_own(
    stubs: Pds, alice: Account, bob: Account, set_limits: SetLimits, nsid: str
) -> None:
    limits = LIMITS[nsid].limits
    set_limits({nsid: (POINTS.get(nsid, 1),) * len(limits)})
    assert (await call(stubs, nsid, alice)).status == 200
    assert (await call(stubs, nsid, alice)).status == 429
    elsewhere = (await call(stubs, nsid, alice, THERE)).status
    other_account = (await call(stubs, nsid, bob)).status
    if limits[0].key is by_did:
        assert (elsewhere, other_account) == (429, 200)
    else:
        assert (elsewhere, other_account) == (200, 429)


async def test_writes_of_every_kind_share_their_points(
    stubs: Pds, alice: Account, set_limits: SetLimits
) -> None:
    points = sum(POINTS.values())
    set_limits(dict.fromkeys(POINTS, (points, points)))
    left = [told(await call(stubs, nsid, alice))[1] for nsid in POINTS]
    assert left == ["10", "8", "7", "0"]
    for nsid in POINTS:
        assert (await call(stubs, nsid, alice)).status == 429


async def test_no_writes_at_all_take_no_points(
    stubs: Pds, alice: Account, set_limits: SetLimits
) -> None:
    set_limits({WRITES: (1, 1)}, all_requests=10)
    for left in ("9", "8"):
        reply = await call(stubs, WRITES, alice, writes=[])
        assert (reply.status, *told(reply)) == (200, "10;w=300", left)


async def test_logins_count_by_name_and_client(
    stubs: Pds, alice: Account, set_limits: SetLimits
) -> None:
    set_limits({LOGIN: (1, 1)})
    names = ("x.test", "y.test", "x" * 10_000, "x" * 10_001)
    for name in names:
        assert (await call(stubs, LOGIN, alice, identifier=name)).status == 200
    for name in (*names, "X.test", "x.TEST"):
        assert (await call(stubs, LOGIN, alice, identifier=name)).status == 429
    for name in names:
        assert (await call(stubs, LOGIN, alice, THERE, identifier=name)).status == 200


async def test_exports_do_not_count_among_all_requests(
    stubs: Pds, alice: Account, set_limits: SetLimits
) -> None:
    set_limits(all_requests=1)
    for _ in range(3):
        assert (await call(stubs, "com.atproto.sync.getRepo", alice)).status == 200
    assert (await call(stubs, LOGIN, alice)).status == 200
    assert (await call(stubs, LOGIN, alice)).status == 429
    assert (await call(stubs, "com.atproto.sync.getRepo", alice)).status == 200
