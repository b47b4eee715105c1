"""The official client for Node: apps on a server, and apps on the person's own machine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.e2e.oauth.conftest import APP_HOST, RemoteSite, sessions_of
from tests.e2e.oauth.node_app import AppError, NodeApp
from tests.e2e.sdk import Person
from tests.pds.web.browser import Browser, Page
from tests.processes import DevServer
from tests.tls import Certificate

SCOPE = "atproto transition:generic transition:email"
REDIRECT_URI = "http://127.0.0.1/callback"
LOOPBACK = "http://localhost?" + urlencode({"scope": SCOPE, "redirect_uri": REDIRECT_URI})
NATIVE = {
    "application_type": "native",
    "redirect_uris": ["org.example.app:/callback"],
    "token_endpoint_auth_method": "none",
}
POST = "app.bsky.feed.post"


@pytest.fixture
async def app(clients: Path, server: DevServer) -> AsyncIterator[NodeApp]:
    """An app in development."""
    app = await NodeApp.start(clients, server, LOOPBACK)
    yield app
    await app.stop()


@asynccontextmanager
async def published_app(
    clients: Path, server: DevServer, certificate: Certificate, *, native: bool = False
) -> AsyncIterator[NodeApp]:
    """An app whose metadata is on the web: it runs there and has a key, or is on a phone."""
    documents: dict[str, Any] = {}

    async def answer(request: web.Request) -> web.Response:
        return web.json_response(documents[request.path])

    site = web.Application()
    site.router.add_get("/{name:.+}", answer)
    host = TestServer(site, host="127.0.0.1")
    await host.start_server(ssl=certificate.server)
    app = None
    try:
        origin = f"https://{APP_HOST}:{host.port}"
        metadata = metadata_of(origin) | (NATIVE if native else keys_of(origin))
        app = await NodeApp.start(clients, server, metadata, confidential=not native)
        told = await app.order("documents")
        documents |= {"/client.json": told["metadata"], "/keys.json": told["jwks"]}
        yield app
    finally:
        if app is not None:
            await app.stop()
        await host.close()


def metadata_of(origin: str) -> dict[str, Any]:
    return {
        "client_id": f"{origin}/client.json",
        "client_name": "Published App",
        "client_uri": origin,
        "scope": SCOPE,
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "dpop_bound_access_tokens": True,
    }


def keys_of(origin: str) -> dict[str, Any]:
    return {
        "application_type": "web",
        "redirect_uris": [f"{origin}/callback"],
        "token_endpoint_auth_method": "private_key_jwt",
        "token_endpoint_auth_signing_alg": "ES256",
        "jwks_uri": f"{origin}/keys.json",
    }


async def open_page(
    app: NodeApp, browser: Browser, person: Person, state: str = "", **options: str
) -> Page:
    """Start where a person has told an app a handle."""
    options |= {"state": state, "scope": SCOPE}
    url = (await app.order("authorize", input=person.handle, options=options))["url"]
    parts = urlsplit(url)
    assert f"{parts.scheme}://{parts.netloc}" == browser.site.public_url
    return await browser.open(parts.path, **dict(parse_qsl(parts.query)))


async def agree(browser: Browser, page: Page, person: Person, **ticked: str) -> Page:
    """Sign in and agree."""
    form = page.form("/sign-in")
    assert ("username", person.handle) in form.fields
    page = await browser.send(form, password=person.password)
    return await browser.send(page.form("/consent"), **ticked)


def query_of(page: Page) -> str:
    """What the app gets."""
    assert page.status == 303, page.text
    return urlsplit(page.reply.headers["Location"]).query


async def sign_in(app: NodeApp, site: RemoteSite, person: Person, **ticked: str) -> None:
    browser = Browser(site)
    page = await agree(browser, await open_page(app, browser, person), person, **ticked)
    done = await app.order("callback", query=query_of(page))
    assert done["did"] == person.did


async def test_an_app_in_development_signs_in_writes_refreshes_and_signs_out(
    app: NodeApp, server: DevServer, site: RemoteSite, alice: Person
) -> None:
    browser = Browser(site)
    page = await open_page(app, browser, alice, state="where I was")
    page = await agree(browser, page, alice)
    assert page.reply.headers["Location"].startswith(f"{REDIRECT_URI}?")
    done = await app.order("callback", query=query_of(page))
    assert done == {"did": alice.did, "state": "where I was"}
    await use(app, server, alice)


async def test_an_app_on_the_web_proves_itself_by_its_key(
    clients: Path,
    server: DevServer,
    certificate: tuple[Certificate, Path],
    site: RemoteSite,
    alice: Person,
) -> None:
    async with published_app(clients, server, certificate[0]) as app:
        browser = Browser(site)
        page = await open_page(app, browser, alice)
        assert "Published App" in page.text
        assert APP_HOST in page.text
        page = await agree(browser, page, alice)
        assert (await app.order("callback", query=query_of(page)))["did"] == alice.did
        await use(app, server, alice)


async def test_an_app_on_a_phone_is_called_by_its_own_scheme(
    clients: Path,
    server: DevServer,
    certificate: tuple[Certificate, Path],
    site: RemoteSite,
    alice: Person,
) -> None:
    async with published_app(clients, server, certificate[0], native=True) as app:
        browser = Browser(site)
        page = await agree(browser, await open_page(app, browser, alice), alice)
        assert page.reply.headers["Location"].startswith("org.example.app:/callback?")
        assert (await app.order("callback", query=query_of(page)))["did"] == alice.did
        await use(app, server, alice)


async def use(app: NodeApp, server: DevServer, person: Person) -> None:
    """Do with a session what apps do, to its end."""
    session = await app.call(person.did, "GET", "/xrpc/com.atproto.server.getSession")
    assert session["status"] == 200, session
    assert session["body"]["handle"] == person.handle
    assert session["body"]["email"] == person.email
    before = await app.order("tokens", did=person.did, refresh=False)
    assert set(before["scope"].split()) == set(SCOPE.split())
    record = {"$type": POST, "text": "by OAuth", "createdAt": "2026-01-01T00:00:00Z"}
    body = {"repo": person.did, "collection": POST, "record": record}
    for _ in range(2):
        made = await app.call(person.did, "POST", "/xrpc/com.atproto.repo.createRecord", body)
        assert made["status"] == 200, made
        await app.order("tokens", did=person.did, refresh=True)
    read = person.client.app.bsky.feed.post.list(person.did).records
    assert [one.text for one in read.values()] == ["by OAuth", "by OAuth"]
    assert sessions_of(server, person) == 1
    await app.order("end", did=person.did)
    assert sessions_of(server, person) == 0
    with pytest.raises(AppError, match=r"TokenRevoked|session was deleted"):
        await app.call(person.did, "GET", "/xrpc/com.atproto.server.getSession")


async def test_what_the_person_leaves_out_is_refused_to_the_app(
    app: NodeApp, site: RemoteSite, alice: Person
) -> None:
    await sign_in(app, site, alice, scope="transition:email")
    body = {"repo": alice.did, "collection": POST, "record": {"$type": POST}}
    made = await app.call(alice.did, "POST", "/xrpc/com.atproto.repo.createRecord", body)
    assert (made["status"], made["body"]["error"]) == (403, "ScopeMissingError")
    read = await app.call(alice.did, "GET", "/xrpc/com.atproto.server.getSession")
    assert read["body"]["email"] == alice.email


async def test_the_app_learns_that_the_person_refuses(
    app: NodeApp, site: RemoteSite, alice: Person
) -> None:
    browser = Browser(site)
    page = await open_page(app, browser, alice)
    page = await browser.send(page.form("/reject"))
    with pytest.raises(AppError, match="rejected"):
        await app.order("callback", query=query_of(page))


async def test_the_app_takes_no_answer_of_another_server(
    app: NodeApp, site: RemoteSite, alice: Person
) -> None:
    browser = Browser(site)
    page = await agree(browser, await open_page(app, browser, alice), alice)
    query = dict(parse_qsl(query_of(page))) | {"iss": "https://evil.example.com"}
    with pytest.raises(AppError, match=r"[Ii]ssuer mismatch"):
        await app.order("callback", query=urlencode(query))
