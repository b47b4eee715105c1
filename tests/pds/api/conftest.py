"""A world of handles outside the server's own domains: a name server and a web host."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from identity.handles import HandleResolver
from identity.http import SafeHttp
from tests.identity.conftest import DnsServer, WebHost
from tests.identity.test_handles import NamesOf
from tests.pds.conftest import Pds


@dataclass(slots=True)
class HandleWorld:
    """Where external handles are looked up. `dns.queries` and `host.requests` tell what was."""

    dns: DnsServer
    host: WebHost

    def publish(self, handle: str, did: str) -> None:
        """Let a TXT record of `handle` name `did`."""
        self.dns.txt[f"_atproto.{handle}"] = [f"did={did}"]


@pytest.fixture
async def handle_world(pds: Pds) -> AsyncIterator[HandleWorld]:
    """Makes the server of the test look up external handles in a world of its own."""
    app = web.Application()
    host = WebHost(TestServer(app))
    app.router.add_route("*", "/{path:.*}", host.handle)
    await host.server.start_server()
    dns = DnsServer()
    await dns.start()
    async with SafeHttp(allow_private=True, resolver=NamesOf(host)) as http:
        pds.ctx.handle_resolver = HandleResolver(http, nameservers=[dns.address], scheme="http")
        yield HandleWorld(dns, host)
    dns.close()
    await host.server.close()
