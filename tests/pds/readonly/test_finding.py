"""Finding an account among many, and a day among its records."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from urllib.parse import quote

import pytest

from pds.readonly.pages import REPOS_ON_A_PAGE
from pds.web.browse.times import tid_after, time_of_tid
from repo.syntax import Did
from repo.tid import encode_tid
from tests.pds.car.cars import POST, car_of
from tests.pds.conftest import Pds
from tests.pds.readonly.conftest import OFFLINE, ReadonlyServer, StartServer, start
from tests.pds.readonly.shelves import open_shelf

PROFILE = "app.bsky.actor.profile/self"
ANN, BOB, CEM, DAN = (f"did:web:{name}.example.com" for name in ("ann", "bob", "cem", "dan"))
NAMES = {ANN: "Änn  <b>O'Hara</b>", BOB: "x" * 5_000, CEM: "\u202eİpek", DAN: None}
CROWD = 2 * REPOS_ON_A_PAGE + 1


def tid_of(text: str) -> str:
    moment = datetime.fromisoformat(text).replace(tzinfo=UTC)
    return encode_tid(int(moment.timestamp() * 1_000_000), 7)


DAYS = [f"2024-0{month}-1{day}T23:59:59" for month in (1, 2, 3) for day in range(5)]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReadonlyServer]:
    root = tmp_path_factory.mktemp("found")
    cars = root / "cars"
    cars.mkdir()
    posts = {f"{POST}/{tid_of(day)}": {"text": day} for day in DAYS}
    for number, (did, name) in enumerate(NAMES.items()):
        profile = {} if name is None else {PROFILE: {"displayName": name}}
        (cars / f"{number}.car").write_bytes(car_of(posts | profile, did=did))
    handles = root / "handles"
    handles.write_text(f"{ANN} ann.example.org\n{DAN} dan.example.org\n")
    server = start(cars, root / "log", *OFFLINE, "--handles", str(handles))
    yield server
    server.process.kill()


def text_of(server: ReadonlyServer, path: str) -> str:
    reply = server.client.request("GET", path)
    assert reply.status == 200, reply.body
    return reply.body.decode()


def dids_on(page: str) -> list[str]:
    return re.findall(r'<a href="/repo/([^"/]+)">', page)


def test_the_front_page_shows_what_accounts_call_themselves(found: ReadonlyServer) -> None:
    page = text_of(found, "/")
    assert "<bdi>Änn &lt;b&gt;O&#39;Hara&lt;/b&gt;</bdi></a>\n<span>ann.example.org</span>" in page
    assert f"<bdi>{'x' * 100}</bdi>" in page
    assert "<bdi>dan.example.org</bdi>" in page
    for did in NAMES:
        assert f"<code>{did}</code>" in page


@pytest.mark.parametrize(
    ("asked", "dids"),
    [
        ("ann.example.org", [ANN]),
        ("@ANN.example.org ", [ANN]),
        (BOB, [BOB]),
        ("änn", [ANN]),
        ("A\u0308NN", [ANN]),
        ("o'hara", [ANN]),
        ("DAN.EXAMPLE", [DAN]),
        ("example.com", [ANN, BOB, CEM, DAN]),
        ("%", []),
        ('" OR 1=1', []),
        ("nobody", []),
    ],
)
def test_accounts_are_found_by_handle_did_and_name(
    found: ReadonlyServer, asked: str, dids: list[str]
) -> None:
    page = text_of(found, f"/?q={quote(asked)}")
    assert dids_on(page) == dids
    assert ("No repository with" in page) is (not dids)
    assert '<a href="/">All repositories</a>' in page


def test_what_was_asked_is_text(found: ReadonlyServer) -> None:
    page = text_of(found, f"/?q={quote(chr(34) + '><script>')}")
    assert "<script" not in page
    assert 'value="&#34;&gt;&lt;script&gt;"' in page


@pytest.mark.parametrize(
    ("day", "first"),
    [
        ("2024-02-12", "2024-02-12T23:59:59"),
        ("2024-02-20", "2024-02-14T23:59:59"),
        ("2255-01-01", "2024-03-14T23:59:59"),
        ("9999-12-31", "2024-03-14T23:59:59"),
    ],
)
def test_a_day_leads_to_its_records_and_those_before(
    found: ReadonlyServer, day: str, first: str
) -> None:
    page = text_of(found, f"/repo/{ANN}/{POST}?on={day}")
    texts = re.findall(r'<p dir="auto">([^<]+)</p>', page)
    assert texts == [text for text in reversed(DAYS) if text <= first]
    assert (">Newer records<" in page) is (first != DAYS[-1])
    assert f'value="{day}"' in page


def test_a_day_before_all_records_leads_to_the_oldest(found: ReadonlyServer) -> None:
    for day in ("2023-01-01", "1900-01-01", "0001-01-01"):
        assert DAYS[0] in text_of(found, f"/repo/{ANN}/{POST}?on={day}")


def test_a_day_is_asked_for_only_where_keys_tell_it(found: ReadonlyServer) -> None:
    assert 'type="date"' in text_of(found, f"/repo/{ANN}/{POST}")
    assert 'type="date"' not in text_of(found, f"/repo/{ANN}/app.bsky.actor.profile")


def test_what_is_no_day_is_told(found: ReadonlyServer) -> None:
    for day in ("yesterday", "2024-02-30", "<b>"):
        reply = found.client.request("GET", f"/repo/{ANN}/{POST}?on={quote(day)}")
        assert reply.status == 400
        assert b"This is not a date" in reply.body


def test_the_bound_of_a_day_is_the_next_midnight() -> None:
    assert time_of_tid(tid_after(date(2024, 2, 28))) == datetime(2024, 2, 29, tzinfo=UTC)


async def test_many_that_are_found_come_page_by_page(pds: Pds, tmp_path: Path) -> None:
    (tmp_path / "a.car").write_bytes(car_of({}, did=ANN))
    with open_shelf(pds.ctx, tmp_path, [tmp_path]) as shelf:
        await shelf.library.update()
        (repo,) = shelf.catalog.repos(limit=1)
        for number in range(CROWD):
            did, name = f"did:web:n{number:03}.example.com", "Many" if number else "One"
            shelf.catalog.put_repo(replace(repo, did=Did(did), name=name))
        seen: list[str] = []
        while page := shelf.catalog.search("many", limit=100, after=seen[-1] if seen else ""):
            seen += [one.did for one in page]
    assert seen == [f"did:web:n{number:03}.example.com" for number in range(1, CROWD)]


def test_a_catalog_without_names_gets_them_at_the_next_start(
    start_server: StartServer, tmp_path: Path
) -> None:
    cars, store = tmp_path / "cars", tmp_path / "store"
    cars.mkdir()
    (cars / "a.car").write_bytes(car_of({PROFILE: {"displayName": "Ann"}}, did=ANN))
    options = (*OFFLINE, "--data", str(store))
    start_server(cars, *options).process.stop()
    with sqlite3.connect(store / "catalog.sqlite") as catalog:
        catalog.execute("ALTER TABLE repo DROP COLUMN name")
        catalog.execute("ALTER TABLE repo DROP COLUMN words")
        catalog.execute("DELETE FROM kysely_migration WHERE name = '002'")
    catalog.close()
    server = start_server(cars, *options)
    assert "1 loaded, 0 unchanged, 0 refused" in server.log()
    assert "<bdi>Ann</bdi>" in text_of(server, "/")
