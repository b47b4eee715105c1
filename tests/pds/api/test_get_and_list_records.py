"""com.atproto.repo.getRecord and listRecords."""

from __future__ import annotations

from typing import Any

import pytest

from pds.api.repo.record_answers import PAGE_BYTES
from repo.cid import Cid
from tests.pds.api.exports import list_all
from tests.pds.api.records import (
    NOBODY,
    NOTE,
    POST,
    apply,
    create,
    creates,
    deactivate,
    get,
    moderate,
    post,
    repo_subject,
    uri_of,
)
from tests.pds.conftest import Account, Pds, Reply

GET = "com.atproto.repo.getRecord"
LIST = "com.atproto.repo.listRecords"


async def listed(pds: Pds, account: Account, **params: Any) -> Reply:
    return await pds.get(LIST, None, **{"repo": account.did, "collection": NOTE, **params})


def rkeys(reply: Reply) -> list[str]:
    assert reply.status == 200, reply.body
    return [record["uri"].rpartition("/")[2] for record in reply.json["records"]]


async def test_get_needs_no_credentials_and_takes_a_handle(pds: Pds, alice: Account) -> None:
    created = (await create(pds, alice, post("hi"), POST)).json
    rkey = created["uri"].rpartition("/")[2]
    for repo in (alice.did, alice.handle, alice.handle.upper()):
        reply = await pds.get(GET, repo=repo, collection=POST, rkey=rkey)
        assert reply.json == {"uri": created["uri"], "cid": created["cid"], "value": post("hi")}


async def test_get_may_ask_for_a_version(pds: Pds, alice: Account) -> None:
    created = (await create(pds, alice, {"n": 1}, rkey="one")).json
    params = {"repo": alice.did, "collection": NOTE, "rkey": "one"}
    assert (await pds.get(GET, None, **params, cid=created["cid"])).status == 200
    reply = await pds.get(GET, None, **params, cid=str(Cid.of_dag_cbor(b"\xa0")))
    assert reply.error == (400, "RecordNotFound")
    assert reply.json["message"] == f"Could not locate record: {created['uri']}"


async def test_absent_record_is_not_found(pds: Pds, alice: Account) -> None:
    reply = await get(pds, alice, "one")
    assert reply.error == (400, "RecordNotFound")
    assert reply.json["message"] == f"Could not locate record: {uri_of(alice, 'one')}"


async def test_record_of_an_unknown_repo_cannot_be_located(pds: Pds) -> None:
    for repo in (NOBODY, "nobody.test"):
        reply = await pds.get(GET, repo=repo, collection=NOTE, rkey="one")
        assert reply.error == (400, "InvalidRequest")
        assert reply.json["message"] == "Could not locate record"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, 'Missing required key "repo"'),
        ({"repo": NOBODY, "collection": NOTE}, 'Missing required key "rkey"'),
        ({"repo": NOBODY, "collection": "x", "rkey": "a"}, 'Invalid NSID (got "x")'),
        ({"repo": "xx", "collection": NOTE, "rkey": "a"}, 'Invalid AT identifier (got "xx")'),
        ({"repo": NOBODY, "collection": NOTE, "rkey": "a/b"}, 'Invalid record key (got "a/b")'),
    ],
)
async def test_bad_params_of_get_are_named(pds: Pds, params: dict[str, str], message: str) -> None:
    reply = await pds.get(GET, None, **params)
    assert reply.error == (400, "InvalidRequest")
    assert reply.json["message"] == f"Invalid {GET} params: {message}"


async def test_list_is_newest_first_and_reverse_oldest_first(pds: Pds, alice: Account) -> None:
    await apply(pds, alice, *(creates({"n": n}, f"r{n}") for n in range(5)))
    reply = await listed(pds, alice)
    assert rkeys(reply) == ["r4", "r3", "r2", "r1", "r0"]
    assert reply.json["records"][0].keys() == {"uri", "cid", "value"}
    assert rkeys(await listed(pds, alice, reverse="true")) == ["r0", "r1", "r2", "r3", "r4"]
    assert rkeys(await listed(pds, alice, reverse="false")) == rkeys(reply)


@pytest.mark.parametrize("reverse", ["false", "true"])
async def test_pages_give_every_record_once(pds: Pds, alice: Account, reverse: str) -> None:
    await apply(pds, alice, *(creates({"n": n}, f"r{n:02}") for n in range(23)))
    seen: list[str] = []
    page: dict[str, Any] = {}
    while True:
        reply = await listed(pds, alice, limit=5, reverse=reverse, **page)
        seen += rkeys(reply)
        if "cursor" not in reply.json:
            break
        # Present with every page that has records, even the last.
        assert reply.json["cursor"] == seen[-1]
        page = {"cursor": reply.json["cursor"]}
    expected = [f"r{n:02}" for n in range(23)]
    assert seen == (expected if reverse == "true" else expected[::-1])


async def test_pages_of_large_records_end_early_and_give_every_record_once(
    pds: Pds, alice: Account
) -> None:
    names = [f"r{n}" for n in range(9)]
    for name in names:
        await create(pds, alice, {"text": "x" * 500_000}, rkey=name)
    await create(pds, alice, {"text": "small"}, rkey="s")
    seen: list[str] = []
    pages = 0
    cursor: dict[str, str] = {}
    while True:
        reply = await listed(pds, alice, limit=100, **cursor)
        seen += rkeys(reply)
        if not reply.json["records"]:
            break
        assert reply.json["cursor"] == seen[-1]
        assert len(reply.body) < PAGE_BYTES + 600_000
        cursor = {"cursor": reply.json["cursor"]}
        pages += 1
    assert seen == ["s", *reversed(names)]
    assert pages == 2


async def test_record_of_any_size_reads_as_it_was_written(pds: Pds, alice: Account) -> None:
    value = {"n": list(range(-2000, 20_000)), "é": {"$bytes": "AAEC"}, "deep": [[{"a": None}]]}
    await create(pds, alice, value, rkey="large")
    reply = await get(pds, alice, "large")
    assert reply.json["value"] == {"$type": NOTE, **value}


async def test_default_limit_is_fifty(pds: Pds, alice: Account) -> None:
    await apply(pds, alice, *(creates({"n": n}, f"r{n:03}") for n in range(101)))
    assert len(rkeys(await listed(pds, alice))) == 50
    assert len(rkeys(await listed(pds, alice, limit=100))) == 100
    assert len(await list_all(pds, alice.did, NOTE)) == 101


async def test_list_keeps_collections_with_like_names_apart(pds: Pds, alice: Account) -> None:
    for collection in (NOTE, f"{NOTE}s", f"{NOTE}.sub", "com.example.not"):
        await create(pds, alice, {"c": collection}, collection, rkey="one")
    (record,) = (await listed(pds, alice)).json["records"]
    assert record["value"]["c"] == NOTE


async def test_empty_collection_has_no_cursor(pds: Pds, alice: Account) -> None:
    reply = await listed(pds, alice)
    assert (reply.status, reply.json) == (200, {"records": []})


async def test_cursor_need_not_be_a_record(pds: Pds, alice: Account) -> None:
    await apply(pds, alice, *(creates({"n": n}, rkey) for n, rkey in enumerate("bdf")))
    assert rkeys(await listed(pds, alice, cursor="e")) == ["d", "b"]
    assert rkeys(await listed(pds, alice, cursor="c", reverse="true")) == ["d", "f"]
    for cursor in ("~" * 600, "/", "\u0000", "%", "ü'\"--"):
        assert (await listed(pds, alice, cursor=cursor)).status == 200


async def test_unknown_repo_has_no_list(pds: Pds) -> None:
    for repo in (NOBODY, "nobody.test"):
        reply = await pds.get(LIST, repo=repo, collection=NOTE)
        assert reply.error == (400, "InvalidRequest")
        assert reply.json["message"] == f"Could not find repo: {repo}"


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ([("limit", "0")], "integer too small (minimum 1, got 0)"),
        ([("limit", "5000")], "integer too big (maximum 100, got 5000)"),
        ([("limit", "abc")], 'Expected integer value type (got "abc")'),
        ([("limit", "1"), ("limit", "2")], "Expected integer value type (got [1, 2])"),
        ([("reverse", "maybe")], 'Expected boolean value type (got "maybe")'),
    ],
)
async def test_bad_params_of_list_are_named(
    pds: Pds, alice: Account, params: list[tuple[str, str]], message: str
) -> None:
    pairs = [("repo", alice.did), ("collection", NOTE), *params]
    reply = await pds.request("GET", f"/xrpc/{LIST}", params=pairs)
    assert reply.error == (400, "InvalidRequest")
    assert reply.json["message"] == f"Invalid {LIST} params: {message}"


async def test_record_that_is_taken_down_is_not_shown(pds: Pds, alice: Account) -> None:
    down = (await create(pds, alice, {"n": 1}, rkey="down")).json
    await create(pds, alice, {"n": 2}, rkey="up")
    subject = {"$type": "com.atproto.repo.strongRef", "uri": down["uri"], "cid": down["cid"]}
    await moderate(pds, subject, takedown=True)
    assert (await get(pds, alice, "down")).error == (400, "RecordNotFound")
    assert rkeys(await listed(pds, alice)) == ["up"]
    await moderate(pds, subject, takedown=False)
    assert rkeys(await listed(pds, alice)) == ["up", "down"]


@pytest.mark.parametrize("how", ["deactivated", "takendown"])
async def test_repo_of_an_inactive_account_is_not_shown(pds: Pds, alice: Account, how: str) -> None:
    await create(pds, alice, {"n": 1}, rkey="one")
    if how == "deactivated":
        await deactivate(pds, alice)
    else:
        await moderate(pds, repo_subject(alice), takedown=True)
    # Not even to the account itself: these methods look at no credentials.
    params = {"repo": alice.did, "collection": NOTE}
    reply = await pds.get(GET, alice.auth, **params, rkey="one")
    assert reply.json["message"] == "Could not locate record"
    reply = await pds.get(LIST, alice.auth, **params)
    assert reply.json["message"] == f"Could not find repo: {alice.did}"


async def test_unchanged_answer_is_not_sent_again(pds: Pds, alice: Account) -> None:
    await create(pds, alice, {"n": 1}, rkey="one")
    path = f"/xrpc/{GET}?repo={alice.did}&collection={NOTE}&rkey=one"
    first = await pds.request("GET", path)
    again = await pds.request("GET", path, headers={"If-None-Match": first.headers["Etag"]})
    assert (again.status, again.body) == (304, b"")
    head = await pds.request("HEAD", path)
    assert (head.status, head.body) == (200, b"")
