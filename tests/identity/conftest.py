"""Real servers on loopback for what identity asks: DNS, web hosts, a PLC directory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from identity.http import SafeHttp

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class WebHost:
    """A web server that answers from `pages` and counts what it is asked."""

    server: TestServer
    pages: dict[str, Handler] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        assert self.server.port is not None
        return self.server.port

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def answer(self, path: str, body: bytes | str, *, status: int = 200) -> None:
        """Answer GETs of `path` with `body`."""
        content = body.encode() if isinstance(body, str) else body

        async def page(_: web.Request) -> web.Response:
            return web.Response(body=content, status=status)

        self.pages[path] = page

    def redirect(self, path: str, to: str) -> None:
        """Answer GETs of `path` with a redirect."""

        async def page(_: web.Request) -> web.Response:
            return web.Response(status=302, headers={"Location": to})

        self.pages[path] = page

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request.path)
        page = self.pages.get(request.path)
        return web.Response(status=404) if page is None else await page(request)


@asynccontextmanager
async def serve_pages() -> AsyncIterator[WebHost]:
    """A web host on a free port."""
    app = web.Application()
    host = WebHost(TestServer(app))
    app.router.add_route("*", "/{path:.*}", host.handle)
    await host.server.start_server()
    yield host
    await host.server.close()


@pytest.fixture
async def web_host() -> AsyncIterator[WebHost]:
    async with serve_pages() as host:
        yield host


@pytest.fixture
async def open_http() -> AsyncIterator[SafeHttp]:
    """A client without the protection, for servers of the test itself."""
    async with SafeHttp(allow_private=True, timeout_ms=5_000) as http:
        yield http


class Hang:
    """A page that never answers; `reached` is set once it is asked."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.release = asyncio.Event()

    async def __call__(self, _: web.Request) -> web.Response:
        self.reached.set()
        await self.release.wait()
        return web.Response(body=b"{}")


class DnsServer(asyncio.DatagramProtocol):
    """A name server over UDP. Names it does not know do not exist; `broken` names fail."""

    def __init__(self) -> None:
        self.txt: dict[str, list[str]] = {}
        self.broken: set[str] = set()
        self.silent = False
        self.queries: list[str] = []
        self._transport: asyncio.DatagramTransport | None = None

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", 0)
        )
        self._transport = transport

    @property
    def address(self) -> str:
        assert self._transport is not None
        host, port = self._transport.get_extra_info("sockname")[:2]
        return f"{host}:{port}"

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        with suppress(dns.exception.DNSException):
            query = dns.message.from_wire(data)
            name = query.question[0].name.to_text().rstrip(".").lower()
            self.queries.append(name)
            if not self.silent and self._transport is not None:
                self._transport.sendto(self._answer(query, name).to_wire(), addr)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _answer(self, query: dns.message.Message, name: str) -> dns.message.Message:
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if name in self.broken:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif name not in self.txt:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        elif self.txt[name]:
            texts = [f'"{text}"' for text in self.txt[name]]
            answer.answer.append(dns.rrset.from_text(f"{name}.", 60, "IN", "TXT", *texts))
        return answer


@pytest.fixture
async def dns_server() -> AsyncIterator[DnsServer]:
    server = DnsServer()
    await server.start()
    yield server
    server.close()


@pytest.fixture
async def backup_dns_server() -> AsyncIterator[DnsServer]:
    server = DnsServer()
    await server.start()
    yield server
    server.close()
