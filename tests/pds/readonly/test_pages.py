"""The pages for people."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tests.pds.car.cars import DID
from tests.pds.readonly.conftest import OFFLINE, ReadonlyServer, StartServer, copy_cars
from tests.pds.readonly.hostile import NOTE
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
            if link.startswith("/") and not link.startswith("/assets/"):
                waiting.append(link.replace("&amp;", "&"))
            elif link.startswith("?") and "lang=" not in link:
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


def test_pages_of_records_lead_back_the_way_they_came(archive: ReadonlyServer) -> None:
    start = f"/repo/{data.manifest()['accounts']['dan']['did']}/app.bsky.feed.post"
    older = walk(archive, start, "Older records")
    assert [len(keys) for keys in older] == [50] * 4
    last = f"{start}?before={older[-2][-1]}"
    assert walk(archive, last, "Newer records") == older[::-1]


def walk(server: ReadonlyServer, path: str, link: str) -> list[list[str]]:
    """The keys on each page from `path` on, following the link of that name to its end."""
    pages = []
    while True:
        text = page(server, path)
        pages.append(re.findall(r'<li>\n<a href="/[^"]+/([^"/]+)">', text))
        following = re.search(rf'<a href="(\?[^"]+)">{link}</a>', text)
        if following is None:
            return pages
        path = path.partition("?")[0] + following[1]


def test_beyond_the_last_page_there_is_a_way_back(archive: ReadonlyServer) -> None:
    did = data.manifest()["accounts"]["dan"]["did"]
    text = page(archive, f"/repo/{did}/app.bsky.feed.post?before=0")
    assert "No more records" in text
    assert f'<a href="/repo/{did}/app.bsky.feed.post">Newest records</a>' in text
    text = page(archive, "/?after=did:zzz")
    assert '<a href="/">Back to the first page</a>' in text


def test_pictures_are_shown_and_what_is_missing_is_named(hostile: ReadonlyServer) -> None:
    text = page(hostile, f"/repo/{DID}/com.example.file/picture")
    assert text.count("<img ") == 1
    assert 'alt="a &#34;picture&#34; &lt;b&gt;"' in text
    text = page(hostile, f"/repo/{DID}/com.example.file/gone")
    assert "<img " not in text
    assert "not here" in text


def test_a_large_record_has_its_size_in_the_list_and_its_beginning_on_its_page(
    hostile: ReadonlyServer,
) -> None:
    assert re.search("A record of 960,[0-9]{3} bytes", page(hostile, f"/repo/{DID}/{NOTE}"))
    text = page(hostile, f"/repo/{DID}/{NOTE}/big")
    assert "x&lt;b&gt;x&lt;b&gt;" in text
    assert "too long for a page" in text


def test_of_many_blobs_some_are_shown_each_once(hostile: ReadonlyServer) -> None:
    text = page(hostile, f"/repo/{DID}/com.example.file/many")
    assert text.count("not here") == 50
    assert "And 10 more." in text


def test_the_pages_tell_names_of_files_and_no_paths(
    start_server: StartServer, tmp_path: Path
) -> None:
    cars = copy_cars(tmp_path / "cars")
    (cars / "more").mkdir()
    shutil.copyfile(cars / "alice.car", cars / "more" / "copy of alice.car")
    (cars / "more" / "broken.car").write_bytes(b"x")
    server = start_server(cars, *OFFLINE)
    front = page(server, "/")
    assert "broken.car" in front
    assert "has the same state of" in front
    alice = data.manifest()["accounts"]["alice"]
    for text in (front, page(server, f"/repo/{alice['did']}")):
        assert str(tmp_path) not in text
        assert "/more" not in text
    assert f"{cars}/more/broken.car" in server.log()
