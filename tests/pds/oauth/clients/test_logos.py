"""Logos of clients: what is a picture, and what only says so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pds.oauth.clients.logos import Logos
from pds.oauth.clients.uris import Uri
from pds.oauth.clients.web_files import FRESH_S, MAX_BYTES
from pds.oauth.errors import OAuthError
from tests.pds.oauth.client_host import ClientHost, serve_clients

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
URL = Uri.parse("https://app.bsky.app/logo")


class Time:
    """Seconds that a test lets pass."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
async def web(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, time: Time
) -> AsyncIterator[tuple[ClientHost, Logos]]:
    async with serve_clients(tmp_path, monkeypatch) as (host, http):
        yield host, Logos(http, clock=time)


async def test_the_bytes_say_what_a_picture_is(web: tuple[ClientHost, Logos]) -> None:
    host, logos = web
    host.publish(PNG, "/logo", media_type="text/html")
    logo = await logos.get(URL)
    assert (logo.media_type, logo.body) == ("image/png", PNG)


async def test_a_picture_is_fetched_once_in_ten_minutes(
    web: tuple[ClientHost, Logos], time: Time
) -> None:
    host, logos = web
    host.publish(PNG, "/logo", media_type="image/png")
    for _ in range(3):
        await logos.get(URL)
    assert len(host.requests) == 1
    time.now += FRESH_S + 1
    await logos.get(URL)
    assert len(host.requests) == 2


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', 200),
        (b"<!DOCTYPE html><script>alert(1)</script>", 200),
        (b"", 200),
        (b"%PDF-1.7", 200),
        (PNG + bytes(MAX_BYTES), 200),
        (PNG, 404),
    ],
    ids=["SVG", "HTML", "nothing", "PDF", "too large", "not found"],
)
async def test_what_is_no_picture_is_not_shown(
    web: tuple[ClientHost, Logos], body: bytes, status: int
) -> None:
    host, logos = web
    host.publish(body, "/logo", media_type="image/png", status=status)
    with pytest.raises(OAuthError):
        await logos.get(URL)


async def test_a_redirect_is_not_followed(web: tuple[ClientHost, Logos]) -> None:
    host, logos = web
    host.publish(b"", "/logo", status=302, Location="https://app.bsky.app/other")
    host.publish(PNG, "/other", media_type="image/png")
    with pytest.raises(OAuthError, match="redirected"):
        await logos.get(URL)
