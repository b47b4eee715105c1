"""A client for Python, which insists on https, at a server that is behind a proxy."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import aiohttp
import httpx
import pytest
from atproto_oauth import OAuthClient, OAuthSession
from atproto_oauth.stores import MemorySessionStore, MemoryStateStore

from tests.e2e.oauth.conftest import RemoteSite
from tests.e2e.sdk import Network, Person
from tests.pds.web.browser import Browser
from tests.processes import DevServer

PUBLIC_URL = "https://pds.example.org"
SCOPE = "atproto transition:generic"
REDIRECT_URI = "http://127.0.0.1/callback"
CLIENT_ID = "http://localhost?" + urlencode({"scope": SCOPE, "redirect_uri": REDIRECT_URI})
XRPC = f"{PUBLIC_URL}/xrpc/com.atproto"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevServer]:
    """A server that is known under a name on the web."""
    data = tmp_path_factory.mktemp("public")
    server = DevServer.start(data, env={"PDS_HOSTNAME": urlsplit(PUBLIC_URL).netloc})
    yield server
    assert server.stop() == 0, server.log()
    assert "Traceback" not in server.log()


@pytest.fixture
async def site(server: DevServer) -> AsyncIterator[RemoteSite]:
    async with aiohttp.ClientSession() as http:
        yield RemoteSite(PUBLIC_URL, server.url, http)


@pytest.fixture
async def client(server: DevServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OAuthClient]:
    """The client, whose connections end at this machine."""
    homes = {"pds.example.org": server.port, "plc.directory": server.plc_port}
    send = httpx.AsyncHTTPTransport.handle_async_request
    used: list[httpx.AsyncHTTPTransport] = []

    async def send_home(
        transport: httpx.AsyncHTTPTransport, request: httpx.Request
    ) -> httpx.Response:
        used.append(transport)
        port = homes[request.url.host]
        request.url = request.url.copy_with(scheme="http", host="127.0.0.1", port=port)
        return await send(transport, request)

    monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", send_home)
    yield OAuthClient(CLIENT_ID, REDIRECT_URI, SCOPE, MemoryStateStore(), MemorySessionStore())
    for transport in used:
        await transport.aclose()


async def sign_in(client: OAuthClient, site: RemoteSite, person: Person) -> OAuthSession:
    url, state = await client.start_authorization(person.did)
    parts = urlsplit(url)
    assert f"{parts.scheme}://{parts.netloc}" == PUBLIC_URL
    browser = Browser(site)
    page = await browser.open(parts.path, **dict(parse_qsl(parts.query)))
    page = await browser.send(page.form("/sign-in"), password=person.password)
    page = await browser.send(page.form("/consent"))
    answer = page.answer
    assert answer["state"] == state
    return await client.handle_callback(answer["code"], state, answer["iss"])


async def test_an_app_signs_in_writes_refreshes_and_signs_out(
    client: OAuthClient, site: RemoteSite, network: Network
) -> None:
    alice = network.join()
    session = await sign_in(client, site, alice)
    assert (session.did, session.scope) == (alice.did, SCOPE)

    async def call(method: str, nsid: str, **more: Any) -> httpx.Response:
        url = f"{XRPC}.{nsid}"
        reply = await client.make_authenticated_request(session, method, url, **more)
        assert isinstance(reply, httpx.Response)
        return reply

    record = {"$type": "app.bsky.feed.post", "text": "hi", "createdAt": "2026-01-01T00:00:00Z"}
    body = {"repo": alice.did, "collection": "app.bsky.feed.post", "record": record}
    assert (await call("POST", "repo.createRecord", json=body)).status_code == 200
    old = session.access_token
    session = await client.refresh_session(session)
    assert session.access_token != old
    read = await call("GET", "server.getSession")
    assert (read.status_code, read.json()["handle"]) == (200, alice.handle)
    await client.revoke_session(session)
    ended = await call("GET", "server.getSession")
    assert (ended.status_code, ended.json()["error"]) == (401, "invalid_token")
