"""The pages for people in a real browser, whose scripts are switched off."""

from __future__ import annotations

from typing import Any

import pytest

from tests.browser import Browser
from tests.pds.car.cars import DID, POST
from tests.pds.readonly.conftest import ReadonlyServer
from tests.pds.readonly.hostile import NOTE
from tests.pds.readonly.legibility import faults_of_page
from tests.reference import data

PHONE = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
DESKTOP = {"width": 1280, "height": 800, "deviceScaleFactor": 1, "mobile": False}


def account(name: str) -> Any:
    return data.manifest()["accounts"][name]


def look_through(browser: Browser, screen: dict[str, Any], scheme: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.command("Emulation.setEmulatedMedia", features=features)
    browser.command("Emulation.setDeviceMetricsOverride", **screen)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_every_page_can_be_read_and_used(
    browser: Browser,
    archive: ReadonlyServer,
    hostile: ReadonlyServer,
    screen: dict[str, Any],
    scheme: str,
) -> None:
    look_through(browser, screen, scheme)
    alice, dan = (f"/repo/{account(name)['did']}" for name in ("alice", "dan"))
    middle = newest_posts(archive, account("dan")["did"])[60]["uri"].rpartition("/")[2]
    found = {}
    for server, path in (
        (archive, "/"),
        (archive, alice),
        (archive, f"{alice}/{POST}"),
        (archive, f"{dan}/{POST}?before={middle}"),
        (archive, f"{alice}/app.bsky.actor.profile/self"),
        (hostile, "/"),
        (hostile, f"/repo/{DID}"),
        (hostile, f"/repo/{DID}/{NOTE}"),
        (hostile, f"/repo/{DID}/{NOTE}/names"),
        (hostile, f"/repo/{DID}/{NOTE}/{'k' * 512}"),
        (hostile, f"/repo/{DID}/{POST}/long"),
        (hostile, f"/repo/{DID}/com.example.file"),
        (hostile, f"/repo/{DID}/com.example.file/picture"),
        (hostile, f"/repo/{DID}/com.example.file/gone"),
    ):
        browser.open(server.client.url + path)
        faults = faults_of_page(browser) + browser.complaints()
        if faults:
            found[path] = faults
    assert not found


def test_a_page_that_is_not_there_can_be_read_too(
    browser: Browser, archive: ReadonlyServer
) -> None:
    look_through(browser, PHONE, "dark")
    browser.open(f"{archive.client.url}/repo/did:plc:nobody")
    assert faults_of_page(browser) == []
    (complaint,) = browser.complaints()
    assert "404" in complaint
    browser.follow("All repositories")
    assert browser.evaluate("location.pathname") == "/"


@pytest.mark.parametrize(
    ("html", "style", "fault"),
    [
        ("<div>x</div>", "width: 400px", "416 px, not 360"),
        ("<p>x</p>", "color: #777", "contrast"),
        ("<p>x</p>", "font-size: 15px", "15 px large"),
        ("<a href=/>x</a>", "min-width: 0", "by 32 px"),
        ("<a href=/>x</a>", "position: absolute; inset: 0", "covers"),
        ("<h1>x</h1>", "", "not one h1"),
        ("<nav>x</nav>", "", "no label"),
        ("<time datetime=soon>x</time>", "", "no time"),
        ("<img src=/nothing alt=x>", "", "is not shown"),
    ],
)
def test_each_fault_is_noticed(
    browser: Browser, archive: ReadonlyServer, html: str, style: str, fault: str
) -> None:
    look_through(browser, PHONE, "light")
    browser.open(archive.client.url)
    browser.evaluate(
        f"document.querySelector('main').insertAdjacentHTML('beforeend', `{html}`);"
        f"document.querySelector('main').lastElementChild.style.cssText = `{style}`"
    )
    found = faults_of_page(browser)
    assert found
    assert all(fault in one for one in found)


def test_links_lead_from_the_front_page_to_a_record_and_back(
    browser: Browser, archive: ReadonlyServer
) -> None:
    dan = account("dan")
    uris = [record["uri"] for record in newest_posts(archive, dan["did"])]
    keys = [uri.rpartition("/")[2] for uri in uris]
    browser.open(archive.client.url)
    browser.follow(dan["handle"])
    assert heading(browser) == dan["handle"]
    browser.follow(POST)
    assert shown_keys(browser) == keys[:50]
    browser.follow("Older records")
    assert shown_keys(browser) == keys[50:]
    browser.follow("Older records")
    browser.follow("Newer records")
    assert shown_keys(browser) == keys[50:]
    browser.follow("Newest records")
    assert shown_keys(browser) == keys[:50]
    browser.follow(keys[7])
    assert heading(browser) == keys[7]
    for step in (POST, dan["handle"], "All repositories"):
        browser.follow(step)
    assert browser.evaluate("location.pathname") == "/"
    assert browser.complaints() == []


def newest_posts(archive: ReadonlyServer, did: str) -> Any:
    return archive.client.call(
        "com.atproto.repo.listRecords", repo=did, collection=POST, limit=100
    )["records"]


def heading(browser: Browser) -> Any:
    return browser.evaluate("document.querySelector('h1').textContent")


def shown_keys(browser: Browser) -> Any:
    return browser.evaluate("[...document.querySelectorAll('main li > a')].map(a => a.textContent)")


def test_a_record_leads_to_its_json_and_its_blobs(
    browser: Browser, archive: ReadonlyServer
) -> None:
    alice = account("alice")
    path = f"/repo/{alice['did']}/app.bsky.actor.profile/self"
    uri = f"at://{alice['did']}/app.bsky.actor.profile/self"
    browser.open(archive.client.url + path)
    assert browser.evaluate("document.images.length") == 1
    assert uri in browser.evaluate("[...document.links].map(link => link.getAttribute('href'))")
    browser.forget()
    browser.click(browser.evaluate("new URL(document.images[0].src).searchParams.get('cid')"))
    assert browser.wait_for("Page.downloadWillBegin")["url"] == browser.evaluate(
        "document.images[0].src"
    )
    browser.follow("Raw JSON")
    assert browser.evaluate("JSON.parse(document.body.textContent).uri") == uri
