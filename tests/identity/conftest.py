"""Real servers on loopback for what identity asks: DNS, web hosts, a PLC directory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
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
    """A name server. Names it does not know do not exist; `broken` ones fail, `silent` ones wait.

    Over TCP it gives what is too long for a packet.
    """

    def __init__(self) -> None:
        self.txt: dict[str, list[str]] = {}
        self.addresses: dict[str, list[str]] = {}
        """By name; those of the other family than asked for are no answer."""
        self.aliases: dict[str, str] = {}
        self.broken: set[str] = set()
        self.silent = False
        self.deaf_to_packets = False
        self.before_answers: list[bytes] = []
        """Packets that come before each answer."""
        self.silent_for: set[str] = set()
        """Names, or kinds of records, that get no answer."""
        self.ttl_s = 60
        self.queries: list[str] = []
        self.asked = asyncio.Event()
        self._transport: asyncio.DatagramTransport | None = None
        self._tcp: asyncio.Server | None = None

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        while self._transport is None:
            tcp = await asyncio.start_server(self._serve_tcp, "127.0.0.1", 0)
            address = tcp.sockets[0].getsockname()
            try:
                self._transport, _ = await loop.create_datagram_endpoint(
                    lambda: self, local_addr=address
                )
                self._tcp = tcp
            except OSError:  # Somebody else has that port for datagrams.
                tcp.close()

    @property
    def port(self) -> int:
        assert self._transport is not None
        return int(self._transport.get_extra_info("sockname")[1])

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        if self.deaf_to_packets:
            return
        with suppress(dns.exception.DNSException):
            query = dns.message.from_wire(data)
            answer = self._answer_to(query)
            if answer is not None and self._transport is not None:
                try:
                    wire = answer.to_wire(max_size=1232)
                except dns.exception.TooBig:
                    cut = dns.message.make_response(query)
                    cut.flags |= dns.flags.TC
                    wire = cut.to_wire()
                for packet in (*self.before_answers, wire):
                    self._transport.sendto(packet, addr)

    async def close(self) -> None:
        if self._transport is not None:
            self._transport.close()
        if self._tcp is not None:
            self._tcp.close()
            await self._tcp.wait_closed()

    async def _serve_tcp(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            size = int.from_bytes(await reader.readexactly(2), "big")
            answer = self._answer_to(dns.message.from_wire(await reader.readexactly(size)))
            if answer is not None:
                writer.write(answer.to_wire(max_size=65_535, prepend_length=True))
        writer.close()

    def _answer_to(self, query: dns.message.Message) -> dns.message.Message | None:
        question = query.question[0]
        name = question.name.to_text().rstrip(".").lower()
        kind = dns.rdatatype.to_text(question.rdtype)
        self.queries.append(name)
        self.asked.set()
        if self.silent or self.silent_for & {name, kind}:
            return None
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        if name in self.broken:
            answer.set_rcode(dns.rcode.SERVFAIL)
        elif name in self.aliases:
            answer.answer.extend(self._chain(name, kind))
        elif name not in {*self.txt, *self.addresses}:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        else:
            answer.answer.extend(self._records(name, kind))
        return answer

    def _chain(self, name: str, kind: str) -> list[dns.rrset.RRset]:
        """What a recursive server answers: the aliases on the way, and the end of it."""
        found, seen = [], set()
        while name in self.aliases and name not in seen:
            seen.add(name)
            target = f"{self.aliases[name]}."
            found.append(dns.rrset.from_text(f"{name}.", self.ttl_s, "IN", "CNAME", target))
            name = self.aliases[name]
        return [*found, *self._records(name, kind)]

    def _records(self, name: str, kind: str) -> list[dns.rrset.RRset]:
        texts: list[str] = []
        if kind == "TXT":
            texts = [f'"{text}"' for text in self.txt.get(name, [])]
        elif kind in ("A", "AAAA"):
            addresses = self.addresses.get(name, [])
            texts = [each for each in addresses if (":" in each) == (kind == "AAAA")]
        return [dns.rrset.from_text(f"{name}.", self.ttl_s, "IN", kind, *texts)] if texts else []


@pytest.fixture
async def dns_server() -> AsyncIterator[DnsServer]:
    server = DnsServer()
    await server.start()
    yield server
    await server.close()


@pytest.fixture
async def backup_dns_server() -> AsyncIterator[DnsServer]:
    server = DnsServer()
    await server.start()
    yield server
    await server.close()
