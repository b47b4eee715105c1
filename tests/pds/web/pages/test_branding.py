"""The operator's look: colours that can be read on, pictures from this server, links."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from identity.http import SafeHttp
from pds.config import read_settings
from pds.config.groups.service import BrandingSettings
from pds.translations.languages import ENGLISH
from pds.web.pages.brand import Brand
from pds.web.pages.colors import color_rule, text_color_on
from pds.web.pages.pictures import BACKGROUNDS, FAILED_S, FRESH_S, LOGO, MAX_BYTES, Picture
from pds.web.pages.rendering import Templates
from pds.web.pages.style import STYLE_PATH, style_routes
from tests.pds.config.test_settings import WORKING

PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


@dataclass
class Elsewhere:
    """The operator's other server, which has one picture."""

    url: str = ""
    asked: int = 0
    status: int = 200
    body: bytes = PNG
    headers: dict[str, str] = field(default_factory=dict)

    async def answer(self, _request: web.Request) -> web.Response:
        self.asked += 1
        return web.Response(status=self.status, body=self.body, headers=self.headers)


@pytest.fixture
async def elsewhere() -> AsyncIterator[Elsewhere]:
    app, host = web.Application(), Elsewhere()
    app.add_routes([web.get("/picture", host.answer)])
    async with TestServer(app) as server:
        host.url = str(server.make_url("/picture"))
        yield host


@pytest.fixture
async def http() -> AsyncIterator[SafeHttp]:
    client = SafeHttp()
    yield client
    await client.close()


def branding(**environ: str) -> BrandingSettings:
    return read_settings(WORKING | environ).branding


@pytest.mark.parametrize(
    ("color", "text"),
    [
        ("#fff", "#000"),
        ("#000000", "#fff"),
        ("#0b57d0", "#fff"),
        ("#FFEB3Bcc", "#000"),
        ("rgb(255, 235, 59)", "#000"),
        ("rgb(10 20 30 / 50%)", "#fff"),
        ("#12345", None),
        ("tomato", None),
        ("hsl(50 100% 50%)", None),
    ],
)
def test_the_text_on_a_color_is_the_more_readable_one(color: str, text: str | None) -> None:
    assert text_color_on(color) == text


def test_each_color_is_set_and_what_is_no_color_is_not() -> None:
    rule = color_rule(
        branding(
            PDS_PRIMARY_COLOR="#ff0",
            PDS_ERROR_COLOR="crimson",
            PDS_WARNING_COLOR="red; } body { display: none",
            PDS_INFO_COLOR="url(https://x.example)",
            PDS_SUCCESS_COLOR="rgb(0,128,0)",
        )
    )
    assert rule == (
        ":root { --brand: #ff0; --on-brand: #000; --error: crimson; "
        "--success: rgb(0,128,0); --on-success: #fff; }\n"
    )


async def test_pictures_are_served_from_here(elsewhere: Elsewhere, http: SafeHttp) -> None:
    settings = branding(PDS_LOGO_URL=elsewhere.url, PDS_BACKGROUND_DARK_URL=elsewhere.url)
    app = web.Application()
    app.add_routes(style_routes(settings, http))
    async with TestClient(TestServer(app)) as client:
        sheet = await (await client.get(STYLE_PATH)).text()
        assert elsewhere.url not in sheet
        assert re.findall(r'url\("([^"]+)"\)', sheet) == [BACKGROUNDS["dark"]]
        for path in (LOGO, BACKGROUNDS["dark"]):
            reply = await client.get(path)
            assert (reply.status, reply.content_type) == (200, "image/png")
            assert await reply.read() == PNG
            assert "sandbox" in reply.headers["Content-Security-Policy"]
            assert reply.headers["X-Content-Type-Options"] == "nosniff"
        assert (await client.get(BACKGROUNDS["light"])).status == 404
        await client.get(LOGO)
    assert elsewhere.asked == 2


@pytest.mark.parametrize(
    ("status", "body", "stated"),
    [
        (404, PNG, "image/png"),
        (200, b"<html>", "image/png"),
        (200, SVG, "text/html"),
        (200, b"text", "image/svg+xml"),
        (200, PNG + bytes(MAX_BYTES), "image/png"),
    ],
    ids=["missing", "page", "drawing as page", "no drawing", "large"],
)
async def test_what_is_no_picture_is_not_shown(
    elsewhere: Elsewhere, http: SafeHttp, status: int, body: bytes, stated: str
) -> None:
    elsewhere.status, elsewhere.body, elsewhere.headers = status, body, {"Content-Type": stated}
    now = [0.0]
    picture = Picture(elsewhere.url, http, clock=lambda: now[0])
    assert await status_of(picture) == 404
    elsewhere.status, elsewhere.body, elsewhere.headers = (
        200,
        SVG,
        {"Content-Type": "image/svg+xml"},
    )
    assert await status_of(picture) == 404
    assert elsewhere.asked == 1
    now[0] += FAILED_S
    assert await status_of(picture) == 200


async def test_the_last_picture_is_shown_while_its_server_fails(
    elsewhere: Elsewhere, http: SafeHttp
) -> None:
    now = [0.0]
    picture = Picture(elsewhere.url, http, clock=lambda: now[0])
    assert await status_of(picture) == 200
    elsewhere.status = 500
    now[0] += FRESH_S
    assert await status_of(picture) == 200
    assert elsewhere.asked == 2


async def status_of(picture: Picture) -> int:
    """The status of an answer, whatever the request."""
    app = web.Application()
    app.add_routes([web.get("/", picture.answer)])
    async with TestClient(TestServer(app)) as client:
        return (await client.get("/")).status


def test_pages_show_the_logo_and_those_links_that_are_links() -> None:
    settings = read_settings(
        WORKING
        | {
            "PDS_SERVICE_NAME": "A & B",
            "PDS_LOGO_URL": "https://logo.example/x.png",
            "PDS_HOME_URL": "javascript:alert(1)",
            "PDS_SUPPORT_URL": "https://help.example/?a=1&b=2",
            "PDS_TERMS_OF_SERVICE_URL": "https://terms.example",
            "PDS_CONTACT_EMAIL_ADDRESS": "help@example.com",
        }
    )
    brand = Brand.of(settings)
    page = Templates({}, brand=brand).render(
        "error.html", ENGLISH, title="x", message="y", remedy="", languages=()
    )
    assert f'<img src="{LOGO}" alt="A &amp; B">' in page
    assert re.findall(r'<li><a href="([^"]+)"', page) == [
        "https://help.example/?a=1&amp;b=2",
        "https://terms.example",
        "mailto:help@example.com",
    ]
    assert "logo.example" not in page
