"""Repositories that mean harm hold up nobody else, and put no words on pages of this server."""

from __future__ import annotations

import re

from actor_store.transactor import ActorStoreTransactor
from pds.web.browse.pages import COLLECTIONS_ON_A_PAGE
from repo import dagcbor
from repo.cid import Cid
from tests.loop_blocks import loop_blocks
from tests.pds.conftest import Account, Pds
from tests.pds.web.browse.test_browse import text_of
from tests.repo.odd_records import NOT_SHOWN, SHOWN

_LONGEST_MS = 50
_NOTE = "com.example.note"
_HOSTILE = {
    "lists": dagcbor.encode({"a": [[]] * 32_000}),
    "maps": dagcbor.encode({"a": [{}] * 32_000}),
    "many-lists": b"\xa1\x61a\x9a\x00\x0d\xbb\xa0" + b"\x80" * 900_000,
    "deep": b"\xa1\x61a" + b"\x81" * 240 + b"\x80",
    "too-deep": b"\xa1\x61a" + b"\x81" * 900_000 + b"\x80",
    "markup": dagcbor.encode({"text": "<&\u202e>" * 160_000}),
    "keys": dagcbor.encode({f"{number:06}": number for number in range(9_000)}),
}
"""Blocks of up to a megabyte."""
_ODD = {f"odd-{number}": block for number, (block, _) in enumerate(SHOWN.values())} | {
    f"not-shown-{number}": block for number, block in enumerate(NOT_SHOWN.values())
}


async def put_records(pds: Pds, account: Account, blocks: dict[str, bytes]) -> None:
    """Store records by their paths, as no client could write them."""

    def put(actor: ActorStoreTransactor) -> None:
        rev = actor.repo.head().rev
        cids = {block: Cid.of_dag_cbor(block) for block in set(blocks.values())}
        actor.repo.put_blocks([(cid, block) for block, cid in cids.items()], rev)
        for path, block in blocks.items():
            collection, _, rkey = path.partition("/")
            actor.record.index(collection, rkey, cid=cids[block], rev=rev, indexed_at="")

    await pds.ctx.actor_store.transact(account.did, put)


async def test_any_record_has_a_page_that_holds_up_nobody(pds: Pds, alice: Account) -> None:
    names = [*_HOSTILE, *_ODD]
    await put_records(
        pds, alice, {f"{_NOTE}/{name}": block for name, block in (_HOSTILE | _ODD).items()}
    )
    home = f"/repo/{alice.did}/{_NOTE}"
    await text_of(pds, home)
    with loop_blocks() as blocks:
        assert set(re.findall(r'<a href="[^"?]+/([^"/]+)">\1</a>', await text_of(pds, home))) == {
            *names
        }
        pages = {name: await text_of(pds, f"{home}/{name}") for name in names}
    assert blocks.longest_ms < _LONGEST_MS, blocks.where
    assert max(map(len, pages.values())) < 1_500_000
    for name, text in pages.items():
        assert "<pre>" in text or "This record cannot be shown" in text, name
    assert r"&lt;&amp;\u202e&gt;" in pages["markup"]


async def test_any_number_of_collections_is_shown_page_by_page(pds: Pds, alice: Account) -> None:
    block = dagcbor.encode({"text": "x"})
    collections = [f"com.example.c{number:05}" for number in range(10_000)]
    await put_records(pds, alice, {f"{name}/self": block for name in collections})
    path, home, found = f"/repo/{alice.did}", f"/repo/{alice.did}", list[str]()
    with loop_blocks() as blocks:
        for _ in range(3):
            text = await text_of(pds, path)
            found += re.findall(r">(com\.example\.[^<]+)</a><small>1 record</small>", text)
            following = re.search(r'"(\?after=[^"]+)">More collections', text)
            assert following is not None
            path = home + following[1]
    assert found == collections[: 3 * COLLECTIONS_ON_A_PAGE]
    assert blocks.longest_ms < _LONGEST_MS, blocks.where
    text = await text_of(pds, f"{home}?after={collections[-2]}")
    assert collections[-1] in text
    assert "More collections" not in text
    assert "First collections" in text


async def test_names_turn_no_text_around(pds: Pds, alice: Account) -> None:
    profile = dagcbor.encode({"displayName": "\u202egpj.\u2066exe\n <b>"})
    await put_records(pds, alice, {"app.bsky.actor.profile/self": profile})
    text = await text_of(pds, f"/repo/{alice.did}")
    assert "<h1><bdi>gpj.exe &lt;b&gt;</bdi></h1>" in text


async def test_a_link_cannot_put_words_on_a_page(pds: Pds, alice: Account) -> None:
    for query in ("", "?before=x", "?after=x", "?on=2026-01-01"):
        path = f"/repo/{alice.did}/Call%20this%20number{query}"
        assert "Call this" not in await text_of(pds, path, 404)
