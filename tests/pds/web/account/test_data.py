"""The download of all data of an account."""

from __future__ import annotations

import json
import zipfile
from io import BytesIO
from zipfile import ZipFile

import pytest
from multidict import MultiDict

from pds.web.pages.form import LIMIT_BYTES
from repo.cid import Cid
from repo.syntax import Did
from tests.pds.conftest import Account, Pds
from tests.pds.web.account.test_signing_in import sign_in
from tests.pds.web.browser import Browser

_PNG = b"\x89PNG\r\n\x1a\n" + bytes(3 * LIMIT_BYTES)


async def publish(pds: Pds, account: Account, picture: bytes) -> str:
    """Publish a post with a picture, and return the picture's CID."""
    blob = (await pds.upload(account, picture)).json["blob"]
    record = {
        "$type": "app.bsky.feed.post",
        "text": "look",
        "createdAt": "2026-01-01T00:00:00.000Z",
        "embed": {"$type": "app.bsky.embed.images", "images": [{"alt": "", "image": blob}]},
    }
    await pds.create_record(account, "app.bsky.feed.post", record)
    return str(blob["ref"]["$link"])


async def downloaded(browser: Browser) -> ZipFile:
    page = await browser.open("/account/data")
    page = await browser.send(page.form("/data"))
    assert page.status == 200
    assert page.reply.headers["Content-Type"] == "application/zip"
    # Else browsers have no bar.
    assert int(page.reply.headers["Content-Length"]) == len(page.reply.body)
    archive = ZipFile(BytesIO(page.reply.body))
    assert archive.testzip() is None
    return archive


async def test_it_has_repository_preferences_and_files(pds: Pds, alice: Account) -> None:
    cids = [await publish(pds, alice, _PNG + bytes([number])) for number in range(3)]
    preferences = [{"$type": "app.bsky.actor.defs#adultContentPref", "enabled": True}]
    await pds.post("app.bsky.actor.putPreferences", {"preferences": preferences}, alice.auth)
    archive = await downloaded(await sign_in(pds, alice))
    assert archive.namelist() == [
        "repo.car",
        "preferences.json",
        *sorted(f"blobs/{cid}.png" for cid in cids),
    ]
    assert archive.read(f"blobs/{cids[0]}.png") == _PNG + b"\0"
    served = await pds.get("com.atproto.sync.getRepo", did=alice.did)
    assert archive.read("repo.car") == served.body
    assert json.loads(archive.read("preferences.json")) == preferences


@pytest.mark.parametrize("limit", [zipfile.ZIP64_LIMIT, 1000])
async def test_what_is_lost_is_listed(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """Also if it is more than 2 GiB, as which little counts here."""
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", limit)
    kept, lost, cut = [await publish(pds, alice, _PNG + bytes([number])) for number in range(3)]
    (lost_file,) = pds.ctx.settings.data_directory.rglob(lost)
    lost_file.unlink()
    (cut_file,) = pds.ctx.settings.data_directory.rglob(cut)
    cut_file.write_bytes(_PNG)
    archive = await downloaded(await sign_in(pds, alice))
    assert [name for name in archive.namelist() if "blobs" in name] == [
        f"blobs/{kept}.png",
        "missing-blobs.txt",
    ]
    assert archive.read("missing-blobs.txt").decode().split() == sorted((lost, cut))


async def test_what_is_known_to_be_missing_is_listed_and_no_more(pds: Pds, alice: Account) -> None:
    cid = await publish(pds, alice, _PNG)
    await pds.ctx.actor_store.transact(
        Did(alice.did), lambda actor: actor.blob.set_takedown(Cid.parse(cid), "a moderator")
    )
    archive = await downloaded(await sign_in(pds, alice))
    assert archive.read("missing-blobs.txt").decode() == f"{cid}\n"


async def test_an_empty_account_has_a_download_too(pds: Pds, alice: Account) -> None:
    archive = await downloaded(await sign_in(pds, alice))
    assert archive.namelist() == ["repo.car", "preferences.json"]


async def test_a_link_of_another_site_downloads_nothing(pds: Pds, alice: Account) -> None:
    browser = await sign_in(pds, alice)
    form = (await browser.open("/account/data")).form("/data")
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    headers = {"Cookie": cookie, "Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    async with pds.http.post(
        f"{pds.url}/account/data", data=MultiDict(form.fields), headers=headers
    ) as response:
        assert response.status == 403
