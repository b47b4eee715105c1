"""The pages for people."""

from __future__ import annotations

import re

from tests.pds.readonly.conftest import ReadonlyServer
from tests.reference import data


def page(server: ReadonlyServer, path: str) -> str:
    reply = server.client.request("GET", path)
    assert reply.status == 200, (path, reply.body)
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert reply.content_type == "text/html; charset=utf-8"
    text = reply.body.decode()
    assert "<script" not in text
    assert 'name="viewport"' in text
    return text


def test_from_the_front_page_every_record_is_a_few_links_away(archive: ReadonlyServer) -> None:
    seen, waiting, records = set(), ["/"], 0
    while waiting:
        path = waiting.pop()
        if path in seen or "dan" in path:
            continue
        seen.add(path)
        if path.startswith("/xrpc/"):
            assert archive.client.request("GET", path).status == 200
            continue
        text = page(archive, path)
        records += path.count("/") == 4
        for link in re.findall(r'href="([^"]+)"', text):
            if link.startswith("/") and link not in ("/style.css", "/icon.svg"):
                waiting.append(link.replace("&amp;", "&"))
            elif link.startswith("?"):
                waiting.append(path.partition("?")[0] + link)
    alice = data.manifest()["accounts"]["alice"]
    assert records > 600
    assert f"/repo/{alice['did']}" in seen


def test_a_page_says_what_there_is(archive: ReadonlyServer) -> None:
    alice = data.manifest()["accounts"]["alice"]
    text = page(archive, "/")
    assert "4 repositories" in text
    assert alice["handle"] in text
    text = page(archive, f"/repo/{alice['did']}")
    assert alice["latestCommit"]["rev"] in text
    assert "app.bsky.feed.post" in text


def test_what_strangers_wrote_is_text(archive: ReadonlyServer) -> None:
    did = data.manifest()["accounts"]["alice"]["did"]
    reply = archive.client.request("GET", f"/repo/{did}/%3Cscript%3E")
    assert reply.status == 404
    assert b"<script" not in reply.body


def test_what_is_not_there_is_not_found(archive: ReadonlyServer) -> None:
    did = data.manifest()["accounts"]["alice"]["did"]
    for path in ("/repo/did:plc:nobody", f"/repo/{did}/com.example.none", f"/repo/{did}/a/b"):
        assert archive.client.request("GET", path).status == 404
