"""The other server of a move may be broken or malicious."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from identity.http import SafeHttp
from pds.lifecycle.migration.errors import MoveProblem, OtherServerRefused, Problem
from pds.lifecycle.migration.other_server import OtherServer, Patience, Tokens
from pds.lifecycle.migration.there import count_missing
from repo.cid import Cid

IMPATIENT = Patience(answer_s=0.05, work_s=0.05, start_s=0.0, bytes_per_s=1e12)
NSID = "com.atproto.server.getSession"


@asynccontextmanager
async def server_of(
    handle: object, *, patience: Patience = IMPATIENT, allow_private: bool = True
) -> AsyncIterator[OtherServer]:
    """A server that answers everything so, and a client of it."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)  # type: ignore[arg-type]
    async with TestServer(app) as server, SafeHttp(allow_private=allow_private) as http:
        url = f"http://127.0.0.1:{server.port}"
        yield OtherServer(http, url, Tokens("a", "r"), patience=patience)


async def problem_of(client: OtherServer) -> MoveProblem:
    with pytest.raises(MoveProblem) as caught:
        await client.query(NSID)
    return caught.value


async def read(client: OtherServer, at_most: int = 10_000_000) -> int:
    size = 0
    async with client.download("com.atproto.sync.getRepo", did="did:plc:x") as (_, parts):
        async for part in parts:
            size += len(part)
            if size > at_most:
                break
    return size


async def test_a_redirect_is_not_followed() -> None:
    async def redirect(request: web.Request) -> web.Response:
        assert request.path != "/private"
        return web.Response(status=302, headers={"Location": "/private"})

    async with server_of(redirect) as client:
        assert (await problem_of(client)).kind is Problem.WRONG
        with pytest.raises(MoveProblem):
            await read(client)


async def test_a_private_address_is_not_asked() -> None:
    async def refuse(_: web.Request) -> web.Response:
        raise AssertionError("asked")

    async with server_of(refuse, allow_private=False) as client:
        assert (await problem_of(client)).kind is Problem.WRONG


async def test_a_server_that_does_not_answer_is_given_up() -> None:
    done = asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        await done.wait()
        return web.Response()

    async with server_of(hang) as client:
        assert (await problem_of(client)).kind is Problem.SLOW
        with pytest.raises(MoveProblem, match="slow"):
            await read(client)
        done.set()


async def test_a_download_that_drips_is_given_up() -> None:
    async def drip(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(100):
            await response.write(b"x")
            await asyncio.sleep(0)
        return response

    async with server_of(drip, patience=Patience(start_s=0.0, bytes_per_s=1e12)) as client:
        with pytest.raises(MoveProblem, match="slow"):
            await read(client)


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"{" * 100_000, b"\xff", b"x" * 3_000_000])
async def test_answers_that_are_none_of_the_protocol_are_a_problem_not_a_crash(
    body: bytes,
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=500 if not body else 200, body=body)

    async with server_of(answer, patience=Patience()) as client:
        assert (await problem_of(client)).kind in (Problem.WRONG, Problem.AWAY)


async def test_what_a_refusal_says_is_kept_short() -> None:
    async def refuse(_: web.Request) -> web.Response:
        return web.json_response({"error": "No", "message": "x" * 10_000}, status=400)

    async with server_of(refuse) as client:
        problem = await problem_of(client)
    assert isinstance(problem, OtherServerRefused)
    assert (problem.name, problem.said) == ("No", "x" * 200)


async def test_an_expired_session_is_renewed_once_and_kept() -> None:
    kept: list[Tokens] = []

    async def keep(tokens: Tokens) -> None:
        kept.append(tokens)

    async def answer(request: web.Request) -> web.Response:
        token = request.headers["Authorization"].removeprefix("Bearer ")
        if request.path.endswith("refreshSession") and token == "r":
            return web.json_response({"accessJwt": "a2", "refreshJwt": "r2"})
        if token == "a2":
            return web.json_response({"handle": "x"})
        return web.json_response({"error": "ExpiredToken"}, status=400)

    async with server_of(answer) as found:
        client = OtherServer(found._http, found.url, Tokens("a", "r"), on_tokens=keep)
        assert await client.query(NSID) == {"handle": "x"}
        assert kept == [Tokens("a2", "r2")]
        ended = OtherServer(found._http, found.url, Tokens("a", "gone"))
        assert (await problem_of(ended)).kind is Problem.SIGNED_OUT


@pytest.mark.parametrize("token", ["a\r\nHost: b", "a b", "ä", "a" * 10_000])
def test_a_token_that_no_header_can_carry_is_none(token: str) -> None:
    with pytest.raises(MoveProblem) as caught:
        Tokens.parse({"accessJwt": token, "refreshJwt": "r"})
    assert caught.value.kind is Problem.WRONG


async def test_an_endless_list_of_missing_blobs_is_not_counted() -> None:
    asked = 0

    async def repeat(_: web.Request) -> web.Response:
        nonlocal asked
        asked += 1
        return web.json_response({"blobs": [{"cid": str(Cid.of_raw(b"x"))}]})

    async with server_of(repeat, patience=Patience()) as client:
        with pytest.raises(MoveProblem) as caught:
            await count_missing(client)
    assert (caught.value.kind, asked) == (Problem.WRONG, 2)
