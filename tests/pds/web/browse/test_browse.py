"""Looking at the repositories of a full server."""

from __future__ import annotations

import re
from typing import Any

import pytest

from identity.resolver import DidResolutionError
from repo.syntax import Did
from tests.pds.conftest import Account, Pds, Reply

_BROWSER = {"Accept": "text/html,application/xhtml+xml"}


async def get(pds: Pds, path: str, headers: dict[str, str] | None = None) -> Reply:
    async with pds.http.get(
        pds.url + path, headers=_BROWSER | (headers or {}), allow_redirects=False
    ) as response:
        return Reply(response.status, response.headers, await response.read(), None)


async def text_of(pds: Pds, path: str, status: int = 200) -> str:
    reply = await get(pds, path)
    assert reply.status == status, path
    assert reply.headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in reply.headers["Content-Security-Policy"]
    assert "Set-Cookie" not in reply.headers
    return reply.body.decode()


async def test_the_front_page_tells_people_how_to_join(pds: Pds) -> None:
    text = await text_of(pds, "/")
    assert "Everybody can create an account." in text
    assert "/account/sign-up" in text
    assert b"/xrpc/" in (await pds.request("GET", "/")).body


async def test_from_a_handle_every_record_is_a_few_links_away(pds: Pds, alice: Account) -> None:
    await pds.post_text(alice, "a <b>first</b> post")
    reply = await get(pds, f"/@{alice.handle.upper()}")
    assert (reply.status, reply.headers["Location"]) == (302, f"/repo/{alice.did}")
    seen: set[str] = set()
    waiting, texts = [f"/repo/{alice.did}"], []
    while waiting:
        path = waiting.pop()
        if path in seen or not path.startswith("/repo/"):
            continue
        seen.add(path)
        texts.append(await text_of(pds, path))
        waiting += re.findall(r'href="([^"?]+)"', texts[-1])
    assert len(seen) == 3
    assert "a &lt;b&gt;first&lt;/b&gt; post" in texts[-1]


async def test_what_the_identity_says_is_checked(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = await text_of(pds, f"/repo/{alice.did}")
    assert "this one, as the DID says" in text
    assert "verified" in text
    document = await pds.ctx.did_resolver.resolve(Did(alice.did))
    other = dict(document.raw)
    other["verificationMethod"] = []
    other["alsoKnownAs"] = ["at://someone.else.example"]
    other["service"] = [
        {
            "id": "#atproto_pds",
            "type": "AtprotoPersonalDataServer",
            "serviceEndpoint": "https://other.example",
        }
    ]

    async def resolve(did: str, **_more: Any) -> Any:
        return type(document)(other)

    monkeypatch.setattr(pds.ctx.did_resolver, "resolve", resolve)
    text = await text_of(pds, f"/repo/{alice.did}")
    for said in ("https://other.example", "someone.else.example", "not by the key"):
        assert said in text

    async def fail(did: Did, **_more: Any) -> Any:
        raise DidResolutionError(did, "no answer")

    monkeypatch.setattr(pds.ctx.did_resolver, "resolve", fail)
    assert "cannot be looked up just now" in await text_of(pds, f"/repo/{alice.did}")


async def test_pictures_are_shown_and_other_files_are_links(pds: Pds, alice: Account) -> None:
    png = b"\x89PNG\r\n\x1a\n" + bytes(100)
    picture = (await pds.upload(alice, png)).json["blob"]
    page = (await pds.upload(alice, b"<script>alert(1)</script>", "text/html")).json["blob"]
    made = await pds.create_record(
        alice, "com.example.files", {"$type": "com.example.files", "all": [picture, page]}
    )
    rkey = made["uri"].rpartition("/")[2]
    text = await text_of(pds, f"/repo/{alice.did}/com.example.files/{rkey}")
    assert text.count("<img ") == 1
    assert text.count("com.atproto.sync.getBlob") == 3


@pytest.mark.parametrize(
    "path",
    [
        "/repo/did:plc:nobody",
        "/repo/x",
        "/@nobody.test",
        "/@",
        "/repo/{did}/no.such.collection",
        "/repo/{did}/app.bsky.feed.post/none",
        "/repo/{did}/%3Cscript%3E/%3Cscript%3E",
    ],
)
async def test_what_is_not_there_is_said(pds: Pds, alice: Account, path: str) -> None:
    assert "<script>" not in await text_of(pds, path.format(did=alice.did), 404)


async def test_accounts_that_are_hidden_have_no_pages(
    pds: Pds, alice: Account, bob: Account
) -> None:
    await pds.post("com.atproto.server.deactivateAccount", {}, alice.auth)
    assert "deactivated" in await text_of(pds, f"/repo/{alice.did}", 404)
    subject = {"$type": "com.atproto.admin.defs#repoRef", "did": bob.did}
    body = {"subject": subject, "takedown": {"applied": True, "ref": "1"}}
    await pds.post("com.atproto.admin.updateSubjectStatus", body, pds.admin)
    assert "taken down" in await text_of(pds, f"/@{bob.handle}", 404)
