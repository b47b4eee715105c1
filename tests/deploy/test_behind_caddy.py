"""A real server behind a real Caddy, as deploy/ sets both up, but for ports and the authority."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.deploy.caddy import Caddy, call
from tests.pds.api.firehose import Message
from tests.pds.readonly.conftest import wait_until
from tests.processes import DevServer, free_port

HOSTNAME = "pds.test"
ALICE = "alice.pds.test"
ENVIRON = {
    "PDS_HOSTNAME": HOSTNAME,
    "PDS_SERVICE_HANDLE_DOMAINS": f".{HOSTNAME}",
    "PDS_RATE_LIMITS_ENABLED": "true",
}
MEGABYTE = bytes(1_000_000)
_REACHED_S = 30.0


@dataclass(slots=True)
class Site:
    """The server, what is in front of it, and the account of alice, which the first test makes."""

    server: DevServer
    caddy: Caddy
    did: str = ""
    token: str = ""

    @property
    def url(self) -> str:
        return self.caddy.url

    async def post(self, http: aiohttp.ClientSession, text: str) -> Any:
        """Let alice write a post."""
        record = {
            "$type": "app.bsky.feed.post",
            "text": text,
            "createdAt": "2026-01-01T00:00:00Z",
        }
        return await call(
            http,
            self.url,
            "com.atproto.repo.createRecord",
            token=self.token,
            repo=self.did,
            collection="app.bsky.feed.post",
            record=record,
        )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    directory, ports = tmp_path_factory.mktemp("site"), (free_port(), free_port())
    upstream = f"127.0.0.1:{ports[0]}"
    with Caddy.start(directory, hostname=HOSTNAME, upstream=upstream) as caddy:
        site = Site(DevServer.start(directory / "data", env=ENVIRON, ports=ports), caddy)
        try:
            yield site
        finally:
            site.server.kill()


@pytest.fixture
async def http(site: Site) -> AsyncIterator[aiohttp.ClientSession]:
    async with site.caddy.client() as session:
        if not site.did:
            body = {"handle": ALICE, "email": "alice@example.com", "password": "correct-horse"}
            made = await call(session, site.url, "com.atproto.server.createAccount", **body)
            site.did, site.token = made["did"], made["accessJwt"]
        yield session


async def test_a_post_is_written_and_its_event_followed(
    site: Site, http: aiohttp.ClientSession
) -> None:
    firehose = f"{site.url}/xrpc/com.atproto.sync.subscribeRepos"
    async with http.ws_connect(firehose) as socket:
        created = await site.post(http, "Hello through Caddy")
        async with asyncio.timeout(_REACHED_S):
            message = Message.parse(await socket.receive_bytes())
        assert message.kind == "#commit"
        assert message.body["ops"][0]["path"] in created["uri"]
    params = {"repo": ALICE, "collection": "app.bsky.feed.post"}
    async with http.get(f"{site.url}/xrpc/com.atproto.repo.listRecords", params=params) as response:
        (record,) = (await response.json())["records"]
        assert record["value"]["text"] == "Hello through Caddy"


async def test_an_upload_reaches_the_server_while_it_is_sent(
    site: Site, http: aiohttp.ClientSession
) -> None:
    received: list[int] = []

    async def parts() -> AsyncIterator[bytes]:
        yield MEGABYTE
        # The second half is not sent before the first is on the server's disk.
        await asyncio.to_thread(wait_until, lambda: _bytes_of_uploads(site.server.data) > 0)
        received.append(_bytes_of_uploads(site.server.data))
        yield MEGABYTE

    headers = {"Authorization": f"Bearer {site.token}", "Content-Type": "application/octet-stream"}
    async with http.post(
        f"{site.url}/xrpc/com.atproto.repo.uploadBlob", data=parts(), headers=headers
    ) as response:
        assert response.status == 200
        assert (await response.json())["blob"]["size"] == 2 * len(MEGABYTE)
    assert 0 < received[0] <= len(MEGABYTE)


def _bytes_of_uploads(data: Path) -> int:
    return sum(path.stat().st_size for path in (data / "blobs" / "tempt").glob("*/*"))


async def test_rate_limits_count_the_client_and_not_caddy_or_what_the_client_claims(
    site: Site,
) -> None:
    nsid = "com.atproto.server.requestPasswordReset"

    async def ask(client: aiohttp.ClientSession, claimed: str) -> int:
        async with client.post(
            f"{site.url}/xrpc/{nsid}",
            json={"email": "nobody@example.com"},
            headers={"X-Forwarded-For": claimed},
        ) as response:
            await response.read()
            return response.status

    async with site.caddy.client("127.0.0.2") as one, site.caddy.client("127.0.0.3") as other:
        statuses = [await ask(one, f"192.0.2.{number}") for number in range(16)]
        assert statuses == [statuses[0]] * 15 + [429]
        assert await ask(other, "127.0.0.2") == statuses[0] != 429


async def test_a_handle_gets_a_certificate_once_it_exists_and_other_names_none(
    site: Site, http: aiohttp.ClientSession
) -> None:
    path = "/.well-known/atproto-did"
    async with http.get(site.caddy.url_of(ALICE) + path) as response:
        assert (response.status, await response.text()) == (200, site.did)
    for name in ("bob.pds.test", "a.b.pds.test", "elsewhere.test"):
        with pytest.raises(aiohttp.ClientConnectorError):
            await http.get(site.caddy.url_of(name) + path)
    certificates = (site.caddy.directory / "caddy" / "certificates" / "local").iterdir()
    assert sorted(path.name for path in certificates) == [ALICE, HOSTNAME]


async def test_whoever_comes_without_tls_is_sent_to_it(
    site: Site, http: aiohttp.ClientSession
) -> None:
    url = f"http://{HOSTNAME}:{site.caddy.http_port}/xrpc/_health"
    async with http.get(url, allow_redirects=False) as response:
        assert response.status == 308
        assert re.match(rf"https://{HOSTNAME}\b", response.headers["Location"])


async def test_requests_wait_for_a_server_that_restarts(
    site: Site, http: aiohttp.ClientSession
) -> None:
    old = site.server
    await asyncio.to_thread(old.stop)
    waiting = asyncio.create_task(site.post(http, "Written while the server was away"))
    ports = (old.port, old.plc_port)
    site.server = await asyncio.to_thread(DevServer.start, old.data, env=ENVIRON, ports=ports)
    assert (await waiting)["uri"].startswith(f"at://{site.did}/")
