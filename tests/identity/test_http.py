from __future__ import annotations

import asyncio
import gzip
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from identity.http import (
    FetchError,
    FetchMalformed,
    FetchRefused,
    FetchStatus,
    FetchTimeout,
    FetchTooLarge,
    FetchUnreachable,
    SafeHttp,
)
from tests.identity.conftest import Hang, WebHost


class FixedNames(AbstractResolver):
    """Resolves every name to the same addresses, as an attacker's name server can."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        if not self.addresses:
            raise OSError("unknown host")
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self.addresses
        ]

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://localhost/",
        "https://2130706433/",
        "https://127.1/",
        "https://169.254.169.254/latest/meta-data",
        "https://0.0.0.0/",
    ],
)
async def test_private_hosts_are_refused_however_they_are_spelled(url: str) -> None:
    async with SafeHttp() as http:
        with pytest.raises(FetchRefused, match=r"not public|not a canonical"):
            await http.get(url)


async def test_a_name_that_resolves_to_private_addresses_is_refused() -> None:
    names = FixedNames("10.0.0.1", "192.168.0.1", "fd00::1")
    async with SafeHttp(resolver=names) as http:
        with pytest.raises(FetchRefused, match="not public"):
            await http.get("https://innocent.example.com/")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/",
        "ftp://example.com/",
        "file:///etc/passwd",
        "https://",
        "/relative",
        "https://user:pass@example.com/",
        "https://example.com:99999/",
    ],
)
async def test_only_plain_https_urls_are_allowed(url: str) -> None:
    async with SafeHttp() as http:
        with pytest.raises(FetchRefused):
            await http.get(url)


async def test_urls_of_the_operator_may_be_private(web_host: WebHost) -> None:
    web_host.answer("/", '{"a":1}')
    async with SafeHttp() as http:
        assert await http.get_json(web_host.url + "/", trusted=True) == {"a": 1}
        with pytest.raises(FetchRefused):
            await http.get_json(web_host.url + "/")


async def test_a_trusted_connection_is_not_lent_to_an_untrusted_request(web_host: WebHost) -> None:
    web_host.answer("/", "hello")
    async with SafeHttp() as http:
        await http.get(web_host.url + "/", trusted=True)
        with pytest.raises(FetchRefused):
            await http.get(f"https://127.0.0.1:{web_host.port}/")
    assert web_host.requests == ["/"]


async def test_redirects_are_refused_by_default(open_http: SafeHttp, web_host: WebHost) -> None:
    web_host.redirect("/a", "/b")
    with pytest.raises(FetchRefused, match="redirected to"):
        await open_http.get(web_host.url + "/a")
    assert web_host.requests == ["/a"]


async def test_redirects_are_followed_up_to_a_bound(open_http: SafeHttp, web_host: WebHost) -> None:
    web_host.redirect("/a", "/b")
    web_host.redirect("/b", "/c")
    web_host.answer("/c", "done")
    response = await open_http.get(web_host.url + "/a", max_redirects=2)
    assert (response.url, response.text()) == (web_host.url + "/c", "done")
    with pytest.raises(FetchRefused):
        await open_http.get(web_host.url + "/a", max_redirects=1)


async def test_every_redirect_is_checked_like_a_first_request(web_host: WebHost) -> None:
    web_host.redirect("/a", "file:///etc/passwd")
    async with SafeHttp() as http:
        with pytest.raises(FetchRefused, match="not an https"):
            await http.get(web_host.url + "/a", trusted=True, max_redirects=5)


async def test_a_redirect_loop_ends(open_http: SafeHttp, web_host: WebHost) -> None:
    web_host.redirect("/a", "/a")
    with pytest.raises(FetchRefused):
        await open_http.get(web_host.url + "/a", max_redirects=5)
    assert len(web_host.requests) == 6


async def test_a_host_that_hangs_is_given_up(open_http: SafeHttp, web_host: WebHost) -> None:
    web_host.pages["/"] = hang = Hang()
    with pytest.raises(FetchTimeout):
        await open_http.get(web_host.url + "/", timeout_ms=50)
    hang.release.set()


async def test_a_host_that_trickles_is_given_up(open_http: SafeHttp, web_host: WebHost) -> None:
    released = asyncio.Event()

    async def trickle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"{")
        await released.wait()
        return response

    web_host.pages["/"] = trickle
    with pytest.raises(FetchTimeout):
        await open_http.get(web_host.url + "/", timeout_ms=50)
    released.set()


@pytest.mark.parametrize("path", ["/announced", "/chunked", "/bomb"])
async def test_answers_that_are_too_long_are_cut_off(
    open_http: SafeHttp, web_host: WebHost, path: str
) -> None:
    async def chunked(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(20):
            await response.write(b"x" * 100)
        return response

    async def bomb(_: web.Request) -> web.Response:
        body = gzip.compress(b"\0" * 1_000_000)
        return web.Response(body=body, headers={"Content-Encoding": "gzip"})

    web_host.answer("/announced", b"x" * 2_000)
    web_host.pages["/chunked"] = chunked
    web_host.pages["/bomb"] = bomb
    with pytest.raises(FetchTooLarge):
        await open_http.get(web_host.url + path, max_bytes=1_999)


async def test_an_answer_of_exactly_the_limit_is_read(
    open_http: SafeHttp, web_host: WebHost
) -> None:
    web_host.answer("/", b"x" * 100)
    assert len((await open_http.get(web_host.url + "/", max_bytes=100)).body) == 100


async def test_json_is_read_whatever_its_content_type(
    open_http: SafeHttp, web_host: WebHost
) -> None:
    web_host.answer("/", '{"a": 1}')
    assert await open_http.get_json(web_host.url + "/") == {"a": 1}


async def test_garbage_is_malformed(open_http: SafeHttp, web_host: WebHost) -> None:
    web_host.answer("/json", "{not json")
    web_host.answer("/text", b"\xff\xfe")
    with pytest.raises(FetchMalformed):
        await open_http.get_json(web_host.url + "/json")
    with pytest.raises(FetchMalformed):
        await open_http.get_text(web_host.url + "/text", max_bytes=10)


async def test_a_status_of_failure_carries_its_body(open_http: SafeHttp, web_host: WebHost) -> None:
    web_host.answer("/", "gone fishing", status=503)
    with pytest.raises(FetchStatus) as caught:
        await open_http.get_json(web_host.url + "/")
    assert (caught.value.status, caught.value.body) == (503, b"gone fishing")


async def test_a_closed_port_and_an_unknown_name_are_unreachable(open_http: SafeHttp) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(FetchUnreachable):
            await open_http.get(f"http://127.0.0.1:{unused.getsockname()[1]}/")
    async with SafeHttp(allow_private=True, resolver=FixedNames()) as http:
        with pytest.raises(FetchUnreachable):
            await http.get("https://nowhere.invalid/")


async def test_a_server_that_speaks_no_http_is_unreachable(open_http: SafeHttp) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"220 smtp.example.com ESMTP\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(FetchUnreachable):
            await open_http.get(f"http://127.0.0.1:{port}/")


async def test_post_sends_json_and_is_not_redirected(
    open_http: SafeHttp, web_host: WebHost
) -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.json_response(await request.json(), status=201)

    web_host.pages["/echo"] = echo
    web_host.redirect("/moved", "/echo")
    response = await open_http.post_json(web_host.url + "/echo", {"a": [1, None]})
    assert (response.status, response.json()) == (201, {"a": [1, None]})
    with pytest.raises(FetchRefused):
        await open_http.post_json(web_host.url + "/moved", {})


async def test_a_streamed_answer_is_handed_out_as_it_was_sent(web_host: WebHost) -> None:
    packed = gzip.compress(b"hello")

    async def page(request: web.Request) -> web.Response:
        sent = {name.lower() for name in request.headers} - {"host"}
        headers = {"Content-Encoding": "gzip", "X-Sent": " ".join(sorted(sent))}
        return web.Response(body=packed, headers=headers, status=404)

    web_host.pages["/base/page"] = page
    async with SafeHttp() as http:
        for decompress, content in ((False, packed), (True, b"hello")):
            response = await http.open(
                "GET",
                web_host.url + "/base/",
                "/page?a=%2f&&b",
                trusted=True,
                headers={"Accept-Encoding": "gzip"},
                decompress=decompress,
            )
            assert (response.status, response.headers["X-Sent"]) == (404, "accept-encoding")
            assert await response.read(100) == content
            assert response.at_end
            await response.close()


async def test_a_streamed_request_is_no_way_around_the_rules(web_host: WebHost) -> None:
    web_host.redirect("/moved", "/x")
    async with SafeHttp() as http:
        for base in (web_host.url, "https://127.0.0.1", "https://user:x@example.com", "ftp://x"):
            with pytest.raises(FetchRefused):
                await http.open("GET", base, "/x", headers={})
        for tail in ("?a", "#a"):
            with pytest.raises(FetchRefused):
                await http.open("GET", web_host.url + tail, "/x", trusted=True, headers={})
        response = await http.open("GET", web_host.url, "/moved", trusted=True, headers={})
        assert response.status == 302
        await response.close()
    assert web_host.requests == ["/moved"]


async def test_a_body_that_is_not_sent_to_its_end_ends_the_connection(
    open_http: SafeHttp,
) -> None:
    """Even while the host takes nothing: what is buffered for it is dropped."""
    connected, given_up, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()
    made = received = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal received
        connected.set()
        await given_up.wait()
        while data := await reader.read(2**20):
            received += len(data)
        writer.close()
        ended.set()

    async def endless() -> AsyncIterator[bytes]:
        nonlocal made
        while True:
            made += 2**24
            yield bytes(2**24)

    small = socket.create_server(("127.0.0.1", 0))
    # The less the system buffers, the more waits in the client.
    small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
    async with await asyncio.start_server(serve, sock=small, limit=2**16):
        port = small.getsockname()[1]
        sending = asyncio.create_task(
            open_http.open("POST", f"http://127.0.0.1:{port}", "/", headers={}, body=endless())
        )
        await connected.wait()
        for _ in range(500):
            await asyncio.sleep(0)
        sending.cancel()
        await asyncio.wait([sending])
        given_up.set()
        await ended.wait()
    assert 0 < received < made


class OneTurn:
    """A share of one request at a time, refused to whoever comes second."""

    def __init__(self) -> None:
        self.domains: list[str] = []
        self._taken = False

    @asynccontextmanager
    async def turn(self, domain: str) -> AsyncIterator[None]:
        if self._taken:
            raise RuntimeError("busy")
        self.domains.append(domain)
        self._taken = True
        yield
        self._taken = False


async def test_requests_to_strangers_take_turns_and_those_of_the_operator_do_not(
    web_host: WebHost,
) -> None:
    web_host.pages["/hang"] = hang = Hang()
    web_host.answer("/", "1")
    share = OneTurn()
    async with SafeHttp(allow_private=True, share=share, timeout_ms=5_000) as http:
        waiting = asyncio.create_task(http.get(web_host.url + "/hang"))
        await hang.reached.wait()
        with pytest.raises(RuntimeError, match="busy"):
            await http.get(web_host.url + "/")
        assert await http.get_json(web_host.url + "/", trusted=True) == 1
        hang.release.set()
        await waiting
        await http.get(f"http://localhost:{web_host.port}/")
    assert share.domains == ["127.0.0.1", "localhost"]


async def test_a_closed_client_opens_again(web_host: WebHost) -> None:
    web_host.answer("/", "1")
    http = SafeHttp(allow_private=True)
    await http.close()
    assert await http.get_json(web_host.url + "/") == 1
    await http.close()
    assert await http.get_json(web_host.url + "/") == 1
    await http.close()
    await http.close()


def test_every_error_is_a_fetch_error() -> None:
    leaves = (FetchRefused, FetchUnreachable, FetchTimeout, FetchTooLarge, FetchStatus)
    assert all(issubclass(leaf, FetchError) for leaf in (*leaves, FetchMalformed))
