"""A web host of OAuth clients: it serves their metadata and keys over TLS."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp.connector
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from identity.http import SafeHttp
from tests.pds.api.conftest import EveryName
from tests.tls import certificate_of

METADATA_PATH: Final = "/oauth/client-metadata.json"


@dataclass
class ClientHost:
    """The web host of clients. It holds its answers back while `is_open` is clear."""

    pages: dict[str, web.Response] = field(default_factory=dict)
    requests: list[web.Request] = field(default_factory=list)
    is_open: asyncio.Event = field(default_factory=asyncio.Event)
    was_asked: asyncio.Event = field(default_factory=asyncio.Event)

    def publish(
        self,
        document: object,
        path: str = METADATA_PATH,
        *,
        media_type: str | None = "application/json",
        status: int = 200,
        **headers: str,
    ) -> None:
        """Answer with a document from now on."""
        body = document if isinstance(document, bytes) else orjson.dumps(document)
        typed = {} if media_type is None else {"Content-Type": media_type}
        self.pages[path] = web.Response(body=body, status=status, headers={**typed, **headers})

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        self.was_asked.set()
        await self.is_open.wait()
        page = self.pages.get(request.path, web.Response(status=404))
        answer = web.Response(body=page.body, status=page.status, headers=page.headers)
        if "Content-Type" not in page.headers:
            answer.headers.popall("Content-Type", None)
        return answer


@asynccontextmanager
async def serve_clients(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[ClientHost, SafeHttp]]:
    """The host `app.bsky.app`, and an HTTP client that finds every name there and trusts it."""
    certificate = certificate_of(["app.bsky.app"], directory)
    monkeypatch.setattr(aiohttp.connector, "_SSL_CONTEXT_VERIFIED", certificate.trust)
    host = ClientHost()
    host.is_open.set()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", host.handle)
    server = TestServer(app, scheme="https")
    await server.start_server(ssl=certificate.server)
    assert server.port is not None
    async with SafeHttp(allow_private=True, resolver=EveryName(server.port)) as http:
        yield host, http
    host.is_open.set()
    await server.close()
