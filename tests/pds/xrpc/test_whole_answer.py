"""Answers in one piece, as clients of each kind of connection receive them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from email.utils import parsedate_to_datetime

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pds.monitoring.requests.client_address import ClientAddresses
from pds.monitoring.requests.request_info import begin_request, promise_headers
from pds.xrpc.whole_answer import WholeAnswer, lines_of

LINES = lines_of({"Content-Type": "text/plain", "Access-Control-Allow-Origin": "*"})
BODY = b"a short answer"


class Server:
    """Gives one answer to every request, over and over."""

    def __init__(self) -> None:
        self.status, self.body, self.unsent = 200, BODY, 0
        self.promised: dict[str, str] = {}
        self.port = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        begin_request(request, ClientAddresses(()))
        promise_headers(request, self.promised)
        answer = WholeAnswer(self.status, LINES, self.body)
        answer.headers["X-More"] = "of this answer"
        self.unsent += 1
        await answer.prepare(request)
        self.unsent -= 1
        return answer

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def ask(self, *requests: str) -> list[bytes]:
        """Send requests on one connection; return the answers, if it is closed after the last."""
        reader, writer = await self.connect()
        writer.write("".join(request.replace("\n", "\r\n") for request in requests).encode())
        received = await asyncio.wait_for(reader.read(), 5)
        writer.close()
        return [b"HTTP/" + each for each in received.split(b"HTTP/")[1:]]


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    ours, app = Server(), web.Application()
    app.router.add_route("*", "/", ours.handle)
    async with TestServer(app) as started:
        ours.port = started.port or 0
        yield ours


def parsed(answer: bytes) -> tuple[str, dict[str, str], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert len(headers) == len(lines)
    return first, headers, body


CLOSE = "Host: a\nConnection: close\n\n"
STAY = "Host: a\n\n"


async def test_head_and_body_are_there_with_what_every_answer_has(server: Server) -> None:
    server.promised = {"RateLimit-Limit": "10", "DPoP-Nonce": "n"}
    (answer,) = await server.ask(f"GET / HTTP/1.1\n{CLOSE}")
    first, headers, body = parsed(answer)
    parsedate_to_datetime(headers.pop("Date"))
    assert len(headers.pop("X-Request-Id")) == 16
    assert headers.pop("Server").startswith("Python/")
    assert (first, body) == ("HTTP/1.1 200 OK", BODY)
    assert headers == {
        "Content-Type": "text/plain",
        "Access-Control-Allow-Origin": "*",
        "Content-Length": str(len(BODY)),
        "Connection": "close",
        "RateLimit-Limit": "10",
        "DPoP-Nonce": "n",
        "Access-Control-Expose-Headers": "RateLimit-Limit, DPoP-Nonce",
        "X-More": "of this answer",
    }


async def test_a_connection_stays_open_for_the_next_request(server: Server) -> None:
    requests = [f"GET / HTTP/1.1\n{STAY}"] * 3
    answers = await server.ask(*requests, f"GET / HTTP/1.1\n{CLOSE}")
    assert [parsed(answer)[2] for answer in answers] == [BODY] * 4
    assert ["Connection" in parsed(answer)[1] for answer in answers] == [False] * 3 + [True]


async def test_an_old_client_is_answered_in_its_version(server: Server) -> None:
    (answer,) = await server.ask(f"GET / HTTP/1.0\n{STAY}")
    first, headers, body = parsed(answer)
    assert (first, body) == ("HTTP/1.0 200 OK", BODY)
    assert "Connection" not in headers
    stay = "Host: a\nConnection: keep-alive\n\n"
    first_answer, _ = await server.ask(f"GET / HTTP/1.0\n{stay}", f"GET / HTTP/1.0\n{STAY}")
    assert parsed(first_answer)[1]["Connection"] == "keep-alive"


async def test_the_answer_to_a_head_has_the_length_and_no_body(server: Server) -> None:
    (answer,) = await server.ask(f"HEAD / HTTP/1.1\n{CLOSE}")
    _, headers, body = parsed(answer)
    assert (headers["Content-Length"], body) == (str(len(BODY)), b"")


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_that_has_no_body_has_no_length(server: Server, status: int) -> None:
    server.status, server.body = status, b""
    (answer,) = await server.ask(f"GET / HTTP/1.1\n{CLOSE}")
    first, headers, body = parsed(answer)
    assert first.startswith(f"HTTP/1.1 {status} ")
    assert ("Content-Length" in headers, body) == (False, b"")


async def test_the_server_waits_for_a_client_that_does_not_read(server: Server) -> None:
    server.body = bytes(1 << 24)
    reader, writer = await server.connect()
    writer.write(f"GET / HTTP/1.1\n{CLOSE}".replace("\n", "\r\n").encode())
    await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    assert server.unsent == 1
    assert await asyncio.wait_for(reader.readexactly(len(server.body)), 5) == server.body
    assert (await reader.read(), server.unsent) == (b"", 0)
    writer.close()


async def test_a_client_that_has_left_is_told_nothing(server: Server) -> None:
    _, writer = await server.connect()
    writer.write(f"GET / HTTP/1.1\n{STAY}".replace("\n", "\r\n").encode())
    writer.transport.abort()
    (answer,) = await server.ask(f"GET / HTTP/1.1\n{CLOSE}")
    assert parsed(answer)[2] == BODY


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\nb", "a\rb", "\0", "\x7f"])
def test_no_header_can_bring_another(value: str) -> None:
    with pytest.raises(ValueError, match="control character"):
        lines_of({"X-Any": value})
