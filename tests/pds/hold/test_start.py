"""What a start of the hold does beside its records: the picture, and asking for crawls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from structlog.testing import capture_logs

from pds.hold.profile import MAX_AVATAR_BYTES, add_avatar
from pds.hold.records import PROFILE
from tests.pds.conftest import Pds
from tests.pds.hold.conftest import HOLD_DID, HOLD_ENVIRON, record, started
from tests.pds.relays import Relay

PNG = b"\x89PNG\r\n\x1a\n" + bytes(200)
WARNING = "the hold's profile has no picture yet"


class Pictures:
    """A web server with one picture."""

    def __init__(self) -> None:
        self.body, self.status, self.asked = PNG, 200, 0
        app = web.Application()
        app.router.add_get("/avatar", self._answer)
        self.server = TestServer(app)

    @property
    def url(self) -> str:
        return str(self.server.make_url("/avatar"))

    async def _answer(self, _request: web.Request) -> web.Response:
        self.asked += 1
        return web.Response(body=self.body, status=self.status, content_type="text/plain")


@pytest.fixture
async def pictures() -> AsyncIterator[Pictures]:
    pictures = Pictures()
    async with pictures.server:
        yield pictures


@pytest.fixture
def pds_environ() -> dict[str, str]:
    return {**HOLD_ENVIRON}


async def test_the_picture_is_fetched_once_and_served(pds: Pds, pictures: Pictures) -> None:
    before = await record(pds, PROFILE)
    await add_avatar(pds.ctx, pictures.url)
    profile = await record(pds, PROFILE)
    avatar = profile.pop("avatar")
    assert profile == before
    assert (avatar["mimeType"], avatar["size"]) == ("image/png", len(PNG))
    cid = avatar["ref"]["$link"]
    blob = await pds.get("com.atproto.sync.getBlob", did=HOLD_DID, cid=cid)
    assert (blob.status, blob.body) == (200, PNG)
    view = (await pds.get("app.bsky.actor.getProfile", actor=HOLD_DID)).json
    assert view["avatar"].endswith(f"/xrpc/com.atproto.sync.getBlob?did={HOLD_DID}&cid={cid}")
    await add_avatar(pds.ctx, pictures.url)
    assert pictures.asked == 1


@pytest.mark.parametrize(
    ("body", "status"),
    [(PNG, 404), (b"<html>", 200), (PNG + bytes(MAX_AVATAR_BYTES), 200), (b"", 200)],
    ids=["not found", "no picture", "too large", "empty"],
)
async def test_a_picture_that_cannot_be_had_is_tried_again_at_the_next_start(
    pds: Pds, pictures: Pictures, body: bytes, status: int
) -> None:
    pictures.body, pictures.status = body, status
    with capture_logs() as logs:
        await add_avatar(pds.ctx, pictures.url)
    assert [line["event"] for line in logs] == [WARNING]
    assert "avatar" not in await record(pds, PROFILE)
    pictures.body, pictures.status = PNG, 200
    await add_avatar(pds.ctx, pictures.url)
    assert "avatar" in await record(pds, PROFILE)


async def test_a_private_address_is_not_asked_for_the_picture(
    tmp_path: Path, pictures: Pictures
) -> None:
    async with started(tmp_path, PDS_DISABLE_SSRF_PROTECTION="false") as pds:
        with capture_logs() as logs:
            await add_avatar(pds.ctx, pictures.url)
    assert [line["event"] for line in logs] == [WARNING]
    assert pictures.asked == 0


async def test_a_start_fetches_the_picture_beside_serving(
    tmp_path: Path, pictures: Pictures
) -> None:
    async with started(tmp_path, PDS_HOLD_PROFILE_AVATAR=pictures.url) as pds:
        async with asyncio.timeout(10):
            while "avatar" not in await record(pds, PROFILE):
                await pds.ctx.sequencer.append()
    async with started(tmp_path, PDS_HOLD_PROFILE_AVATAR=pictures.url) as pds:
        assert "avatar" in await record(pds, PROFILE)
    assert pictures.asked == 1


async def test_relays_and_discovery_services_are_asked_to_crawl_the_host_of_the_hold(
    tmp_path: Path,
) -> None:
    async with Relay() as relay, Relay() as discovery:
        urls = {"PDS_CRAWLERS": relay.url, "PDS_HOLD_DISCOVERY_URLS": f"{discovery.url}/"}
        for _ in range(2):
            async with started(tmp_path, **urls), asyncio.timeout(10):
                assert await discovery.asked.get() == {"hostname": "localhost:2583"}
                assert await relay.asked.get() == {"hostname": "localhost:2583"}
        public = {"PDS_HOLD_PUBLIC_URL": "https://hold.example.com"}
        async with started(tmp_path, **urls, **public), asyncio.timeout(10):
            assert await discovery.asked.get() == {"hostname": "hold.example.com"}


async def test_a_hold_that_ends_while_it_asks_ends_at_once(tmp_path: Path) -> None:
    async with Relay() as discovery:
        discovery.may_answer.clear()
        async with started(tmp_path, PDS_HOLD_DISCOVERY_URLS=discovery.url):
            await discovery.asked.get()
        assert discovery.asked.empty()
