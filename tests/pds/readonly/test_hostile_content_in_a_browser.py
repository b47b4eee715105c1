"""What strangers wrote does nothing in a browser, although scripts may run there."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Collection
from typing import Any
from urllib.parse import quote

import pytest

from pds.web.browse.record_text import TEXT_SHOWN_CHARACTERS
from repo.cid import Cid
from tests.browser import Browser
from tests.pds.car.cars import DID, POST
from tests.pds.readonly.conftest import ReadonlyServer
from tests.pds.readonly.hostile import BIG, BLOBS, HTML, KEYS, NOTE, RECORDS, SVG, TEXTS

FILE = "com.example.file"
GET_BLOB = "com.atproto.sync.getBlob"
PROTECTION = ("content-disposition", "content-security-policy", "x-content-type-options")


@pytest.fixture(autouse=True)
def scripts_may_run(browser: Browser) -> None:
    browser.command("Emulation.setScriptExecutionDisabled", value=False)
    browser.command("Browser.setDownloadBehavior", behavior="deny")


def address(collection: str, rkey: str) -> str:
    return f"/repo/{DID}/{collection}/{quote(rkey, safe='')}"


def has_run(browser: Browser) -> bool:
    """Whether a script of the repository's has run on the page."""
    title: str = browser.evaluate("document.title")
    return title == "ran"


def text_of(browser: Browser, selector: str) -> Any:
    return browser.evaluate(f"document.querySelector({selector!r})?.textContent")


def test_the_browser_runs_scripts_and_tells_of_those_it_does_not(browser: Browser) -> None:
    script = "<script>document.title='ran'</script>"
    browser.open(f"data:text/html,{script}")
    assert has_run(browser)
    assert browser.complaints() == []
    policy = "<meta http-equiv=Content-Security-Policy content=\"script-src 'none'\">"
    browser.open(f"data:text/html,{policy}{script}")
    assert not has_run(browser)
    assert "Content Security Policy" in " ".join(browser.complaints())


@pytest.mark.parametrize("rkey", TEXTS)
def test_text_is_shown_as_text(browser: Browser, hostile: ReadonlyServer, rkey: str) -> None:
    browser.open(hostile.client.url + address(POST, rkey))
    assert not has_run(browser)
    assert browser.complaints() == []
    shown, text = text_of(browser, ".text"), TEXTS[rkey]
    assert shown == text or (len(shown) == TEXT_SHOWN_CHARACTERS and text.startswith(shown[:-1]))
    assert browser.evaluate("document.querySelector('script, style, svg, img, base')") is None
    assert json.loads(text_of(browser, "pre"))["text"] == text


def test_lists_show_text_as_text(browser: Browser, hostile: ReadonlyServer) -> None:
    browser.open(f"{hostile.client.url}/repo/{DID}/{POST}")
    assert not has_run(browser)
    assert browser.complaints() == []
    shown = browser.evaluate("[...document.querySelectorAll('li p')].map(p => p.textContent)")
    assert set(TEXTS.values()) - set(shown) == {TEXTS["long"]}


def test_names_within_a_record_are_text_too(browser: Browser, hostile: ReadonlyServer) -> None:
    browser.open(hostile.client.url + address(NOTE, "names"))
    assert not has_run(browser)
    assert browser.complaints() == []
    assert "</script>" in text_of(browser, "pre")


def test_what_cannot_be_seen_is_escaped_in_the_json(
    browser: Browser, hostile: ReadonlyServer
) -> None:
    browser.open(hostile.client.url + address(POST, "bidi"))
    assert r'"photo\u202egpj.exe"' in text_of(browser, "pre")
    browser.open(hostile.client.url + address(POST, "zero-width"))
    assert r'"pay\u200bpal\ufeff"' in text_of(browser, "pre")


def test_a_date_that_is_none_is_not_shown(browser: Browser, hostile: ReadonlyServer) -> None:
    browser.open(hostile.client.url + address(NOTE, "dates"))
    assert text_of(browser, "time") is None


@pytest.mark.parametrize("rkey", KEYS, ids=lambda rkey: rkey[:8])
def test_records_of_odd_keys_are_reached(
    browser: Browser, hostile: ReadonlyServer, rkey: str
) -> None:
    browser.open(f"{hostile.client.url}/repo/{DID}/{NOTE}")
    browser.follow(rkey)
    assert text_of(browser, "h1") == rkey
    browser.follow("Raw JSON")
    assert json.loads(text_of(browser, "body"))["uri"] == f"at://{DID}/{NOTE}/{rkey}"


def test_a_large_record_is_shown_in_part(browser: Browser, hostile: ReadonlyServer) -> None:
    browser.open(hostile.client.url + address(NOTE, "big"))
    assert browser.complaints() == []
    shown = text_of(browser, "pre")
    assert 100_000 < len(shown) < len(BIG)
    assert "too long for a page" in text_of(browser, "main")
    browser.follow("Raw JSON")
    assert json.loads(text_of(browser, "body"))["value"]["body"] == BIG


def test_only_pictures_that_are_here_are_shown(browser: Browser, hostile: ReadonlyServer) -> None:
    for rkey in (*BLOBS, "gone"):
        browser.open(hostile.client.url + address(FILE, rkey))
        assert browser.evaluate("document.images.length") == (rkey == "picture"), rkey
        assert browser.complaints() == []


def test_a_picture_is_no_wider_than_the_page_and_has_a_text(
    browser: Browser, hostile: ReadonlyServer
) -> None:
    browser.open(hostile.client.url + address(FILE, "picture"))
    browser.evaluate("document.images[0].decode()")
    assert browser.evaluate("document.images[0].naturalWidth") == 3000
    assert browser.evaluate(
        "document.images[0].width <= document.querySelector('main').clientWidth"
    )
    assert browser.evaluate("document.images[0].alt") == RECORDS[f"{FILE}/picture"]["file"]["alt"]
    assert browser.evaluate("document.images[0].loading") == "lazy"


def blob_address(server: ReadonlyServer, data: bytes) -> str:
    return f"{server.client.url}/xrpc/{GET_BLOB}?did={DID}&cid={Cid.of_raw(data)}"


@pytest.mark.parametrize("rkey", BLOBS)
def test_a_blob_is_saved_and_not_shown(
    browser: Browser, hostile: ReadonlyServer, rkey: str
) -> None:
    data, _ = BLOBS[rkey]
    browser.open(hostile.client.url)
    browser.forget()
    answer = browser.command("Page.navigate", url=blob_address(hostile, data))
    assert answer["isDownload"]
    assert browser.evaluate("location.pathname") == "/"


@pytest.mark.parametrize("data", [SVG, HTML], ids=["svg", "html"])
def test_a_blob_that_is_shown_all_the_same_runs_nothing(
    browser: Browser, hostile: ReadonlyServer, data: bytes
) -> None:
    show_blob(browser, hostile, data, without=["content-disposition"])
    assert not has_run(browser)
    assert browser.evaluate("self.origin") == "null"
    show_blob(browser, hostile, data, without=PROTECTION)
    assert has_run(browser)


def show_blob(
    browser: Browser, server: ReadonlyServer, data: bytes, *, without: Collection[str]
) -> None:
    """Go to a blob as if the server had left some headers out."""
    url = blob_address(server, data)
    reply = server.client.request("GET", url.removeprefix(server.client.url))
    headers = [
        {"name": name, "value": value}
        for name, value in reply.headers.items()
        if name not in without
    ]
    browser.open(server.client.url)
    browser.command("Fetch.enable", patterns=[{"urlPattern": f"*{GET_BLOB}*"}])

    def go() -> None:
        browser.evaluate(f"void (location.href = '{url}')")
        browser.command(
            "Fetch.fulfillRequest",
            requestId=browser.wait_for("Fetch.requestPaused")["requestId"],
            responseCode=reply.status,
            responseHeaders=headers,
            body=b64encode(reply.body).decode(),
        )

    browser.loading(go)
    browser.command("Fetch.disable")
