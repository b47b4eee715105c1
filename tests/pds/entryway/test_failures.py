"""An entryway that hangs, drips, floods or talks nonsense: bounded, told, and nobody's delay."""

from __future__ import annotations

import asyncio
import gzip
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from pds.entryway import exchange
from pds.entryway.exchange import TOTAL_S
from pds.fairness.proxy_share import EACH
from tests.entryway import Answerer, Entryway, answering
from tests.pds.conftest import Account, Pds
from tests.pds.upstream import Hang, hurry, set_patience, slam
from tests.processes import free_port

LOGIN = "com.atproto.server.createSession"
SESSION = "com.atproto.server.getSession"
CREDENTIALS = {"identifier": "alice.test", "password": "pw"}
MAX_BYTES = 20_000


@pytest.fixture
def pds_environ(pds_environ: dict[str, str]) -> dict[str, str]:
    return {
        **pds_environ,
        "PDS_PROXY_HEADERS_TIMEOUT": "60000",
        "PDS_FETCH_MAX_RESPONSE_SIZE": str(MAX_BYTES),
    }


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    for _ in range(10_000):
        await response.write(b" " * 10_000)
    return response


async def stalling(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"did":')
    await asyncio.Event().wait()
    return response


async def cut_off(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "100"})
    await response.prepare(request)
    await response.write(b'{"did":')
    assert request.transport is not None
    request.transport.abort()
    return response


PACKED = {"Content-Type": "application/json", "Content-Encoding": "gzip"}


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(slam, id="closes the connection"),
        pytest.param(stalling, id="stops in the middle"),
        pytest.param(cut_off, id="breaks off"),
        pytest.param(endless, id="never ends"),
        pytest.param(
            answering(body=gzip.compress(b" " * 10_000_000), headers=PACKED), id="a small bomb"
        ),
        pytest.param(answering(body=b"no gzip", headers=PACKED), id="says that it is packed"),
        pytest.param(answering(text="<html>"), id="a page"),
        pytest.param(answering(text=""), id="nothing"),
        pytest.param(answering(text="[1]"), id="no object"),
        pytest.param(answering(text='{"a":' * 5_000), id="no end of braces"),
        pytest.param(answering(text='{"a":NaN}'), id="no JSON"),
        pytest.param(answering(body=b'{"a":"\xff"}'), id="no Unicode"),
        pytest.param(answering(status=302, headers={"Location": "/elsewhere"}), id="redirects"),
        pytest.param(answering(status=500, text='{"error":"X","message":"m"}'), id="fails"),
    ],
)
async def test_an_unusable_answer_is_told_as_one(
    pds: Pds, entryway: Entryway, answer: Answerer
) -> None:
    entryway.answer = answer
    if answer is stalling:
        hurry(pds)
    reply = await pds.post(LOGIN, CREDENTIALS)
    assert reply.status == 502, reply.body
    assert set(reply.json) == {"error", "message"}
    # And the next one is served again.
    set_patience(pds, 60)
    entryway.answer = answering(text="{}", content_type="application/json")
    assert (await pds.post(LOGIN, CREDENTIALS)).json == {}


async def test_silence_is_not_waited_for(pds: Pds, entryway: Entryway) -> None:
    hurry(pds)
    entryway.answer = hang = Hang()
    reply = await pds.post(LOGIN, CREDENTIALS)
    assert reply.error == (502, "InternalServerError")
    await asyncio.wait_for(hang.cancelled.wait(), 10)


async def test_an_answer_that_drips_has_an_end(
    pds: Pds, entryway: Entryway, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert 0 < TOTAL_S <= 60
    monkeypatch.setattr(exchange, "TOTAL_S", 0.5)
    gone = asyncio.Event()

    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        try:
            while True:
                await response.write(b" ")
                await asyncio.sleep(0.02)
        finally:
            gone.set()

    entryway.answer = drip
    reply = await pds.post(LOGIN, CREDENTIALS)
    assert reply.error == (502, "InternalServerError")
    await asyncio.wait_for(gone.wait(), 10)


async def test_an_entryway_that_is_not_there_is_told_as_that(pds: Pds, entryway: Entryway) -> None:
    target = pds.ctx.entryway
    assert target is not None
    pds.ctx.entryway = replace(target, url=f"http://127.0.0.1:{free_port()}")
    reply = await pds.post(LOGIN, CREDENTIALS)
    message = "Failed to perform upstream request"
    assert reply.json == {"error": "InternalServerError", "message": message}


async def test_the_rest_of_the_server_goes_on_without_it(
    pds: Pds, entryway: Entryway, alice: Account
) -> None:
    entryway.answer = slam
    await pds.post_text(alice)
    assert (await pds.get("com.atproto.server.checkAccountStatus", alice.auth)).status == 200


async def test_a_refusal_keeps_its_status_name_and_message(
    pds: Pds, entryway: Entryway, alice: Account
) -> None:
    told = '{"error":"AuthFactorTokenRequired","message":"A code was sent","more":1}'
    entryway.answer = answering(status=401, text=told, content_type="application/json")
    reply = await pds.post(LOGIN, CREDENTIALS)
    assert reply.status == 401
    assert reply.json == {"error": "AuthFactorTokenRequired", "message": "A code was sent"}
    entryway.answer = answering(status=429, text="slow down")
    assert (await pds.get(SESSION, alice.auth)).error == (429, "RateLimitExceeded")


async def test_headers_of_the_entryway_stay_there(pds: Pds, entryway: Entryway) -> None:
    kept_back = {
        "Set-Cookie": "a=b",
        "Content-Security-Policy": "x",
        "Access-Control-Allow-Origin": "https://evil.example.com",
        "Location": "/x",
    }
    entryway.answer = answering(text='{"did":"x"}', content_type="text/html", headers=kept_back)
    reply = await pds.post(LOGIN, CREDENTIALS)
    assert reply.json == {"did": "x"}
    assert reply.headers["Access-Control-Allow-Origin"] == "*"
    assert {"Set-Cookie", "Location", "Content-Security-Policy"}.isdisjoint(reply.headers)


async def test_nobody_waits_for_a_client_that_has_left(pds: Pds, entryway: Entryway) -> None:
    entryway.answer = hang = Hang()
    timeout = aiohttp.ClientTimeout(total=0.5)
    with pytest.raises(TimeoutError):
        await pds.http.post(f"{pds.url}/xrpc/{LOGIN}", json=CREDENTIALS, timeout=timeout)
    await asyncio.wait_for(hang.cancelled.wait(), 10)


async def test_one_client_takes_no_more_than_its_share(pds: Pds, entryway: Entryway) -> None:
    under_way = most = 0
    release = asyncio.Event()
    full = asyncio.Event()

    async def count(_: web.Request) -> web.StreamResponse:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        if under_way >= EACH:
            full.set()
        await release.wait()
        under_way -= 1
        return web.json_response({})

    entryway.answer = count
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:

        async def log_in() -> int:
            async with http.post(f"{pds.url}/xrpc/{LOGIN}", json=CREDENTIALS) as response:
                return response.status

        asking = [asyncio.create_task(log_in()) for _ in range(EACH + 8)]
        await asyncio.wait_for(full.wait(), 30)
        release.set()
        statuses = await asyncio.gather(*asking)
    assert most == EACH
    assert set(statuses) <= {200, 503}
    assert statuses.count(200) >= EACH


async def test_an_input_that_cannot_be_sent_on_is_refused(
    pds: Pds, entryway: Entryway, alice: Account
) -> None:
    deep: Any = {}
    for _ in range(400):
        deep = {"a": deep}
    body = {"token": "x", "services": deep}
    reply = await pds.post("com.atproto.identity.signPlcOperation", body, alice.auth)
    assert reply.error == (400, "InvalidRequest")
    assert entryway.asked == []
