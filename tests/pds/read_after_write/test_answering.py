"""Over HTTP: what was written a moment ago is in the answers of an AppView that has not seen it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.appview import DID as APPVIEW_DID
from tests.appview import Answer, AppView, Query, serve_appview
from tests.pds.api.blobs import uploaded
from tests.pds.api.records import POST, PROFILE, create, deactivate, like, post, put
from tests.pds.conftest import Account, Pds, Reply, start_pds
from tests.pds.read_after_write.answers import check_answer
from tests.pds.read_after_write.samples import (
    ANN,
    AUTHOR_FEED,
    BOB,
    GET_POSTS,
    GET_PROFILE,
    GET_PROFILES,
    LIKES,
    THREAD,
    TIMELINE,
    Json,
    detailed_view,
    item,
    node,
    post_view,
    ref,
    reply_to,
    uri,
)
from tests.pds.upstream import decode_part, register_service, via

ROOT = uri(BOB, 1)
LAG = "Atproto-Upstream-Lag"
REV = "Atproto-Repo-Rev"
FAILED = "read after write failed"
CALLS: dict[str, Json] = {
    GET_PROFILE: {"actor": ANN},
    GET_PROFILES: {"actors": ANN},
    LIKES: {"actor": ANN},
    AUTHOR_FEED: {"actor": ANN},
    TIMELINE: {},
    THREAD: {"uri": ROOT},
}
every_method = pytest.mark.parametrize("nsid", CALLS)


@pytest.fixture
def appview() -> Iterator[AppView]:
    with serve_appview() as appview:
        yield appview


@pytest.fixture
def pds_environ(appview: AppView) -> dict[str, str]:
    return appview.environment


class Ann:
    """The account that asks. In what the AppView says of it ANN stands for its DID."""

    def __init__(self, pds: Pds, account: Account, appview: AppView, rev: str) -> None:
        self.pds = pds
        self.account = account
        self.appview = appview
        self.rev = rev

    def answers(
        self, nsid: str, body: Any, status: int = 200, headers: Mapping[str, str] = {}
    ) -> bytes:
        """Let the AppView answer this, before it has seen anything new."""
        is_text = isinstance(body, bytes)
        content = body if is_text else json.dumps(body).replace(ANN, self.account.did).encode()
        self.appview.answers[nsid] = Answer(
            content, status, {"atproto-repo-rev": self.rev, **headers}
        )
        return content

    async def ask(self, nsid: str, headers: Any = None, **params: Any) -> Reply:
        """Call a query; what it answers with 200 is checked against its Lexicon."""
        headers = {**self.account.auth, **(headers or {})}
        reply = await self.pds.get(nsid, headers, **(params or CALLS[nsid]))
        if LAG in reply.headers:
            check_answer(nsid, reply.json)
        return reply

    async def post(self, text: str, **fields: Any) -> Any:
        return await self.pds.create_record(self.account, POST, post(text, **fields))


@pytest.fixture
async def ann(pds: Pds, appview: AppView) -> Ann:
    account = await pds.create_account("ann")
    seen = await pds.post_text(account, "seen")
    return Ann(pds, account, appview, seen["commit"]["rev"])


def texts(reply: Reply) -> list[str]:
    return [one["post"]["record"]["text"] for one in reply.json["feed"]]


@every_method
async def test_answer_without_anything_new_is_passed_on_byte_for_byte(ann: Ann, nsid: str) -> None:
    body = ann.answers(nsid, b'{"odd":  [1.0, null], "odd": 1e3}')
    reply = await ann.ask(nsid)
    assert (reply.status, reply.body) == (200, body)
    assert reply.headers[REV] == ann.rev
    assert LAG not in reply.headers


async def test_new_post_is_in_the_timeline(ann: Ann) -> None:
    ann.answers(TIMELINE, {"feed": [item(BOB, 1)], "cursor": "next"})
    written = await ann.post("new")
    reply = await ann.ask(TIMELINE, limit=5)
    assert texts(reply) == ["new", "post 1"]
    assert reply.json["feed"][0]["post"]["uri"] == written["uri"]
    assert reply.json["feed"][0]["post"]["author"] == {"did": ann.account.did, "handle": "ann.test"}
    assert reply.json["cursor"] == "next"
    assert 0 <= int(reply.headers[LAG]) < 60_000
    assert REV not in reply.headers
    assert reply.headers["Cache-Control"] == "private"
    assert ann.appview.queries[-1].params == {"limit": "5"}


async def test_new_profile_is_everywhere(ann: Ann) -> None:
    picture = await uploaded(ann.pds, ann.account)
    record = {"$type": PROFILE, "displayName": "Ann", "avatar": picture}
    assert (await put(ann.pds, ann.account, "self", record, PROFILE)).status == 200
    feed = {"feed": [item(ANN, 1)]}
    for nsid, body, way in (
        (GET_PROFILE, detailed_view(ANN), ()),
        (GET_PROFILES, {"profiles": [detailed_view(ANN)]}, ("profiles", 0)),
        (LIKES, feed, ("feed", 0, "post", "author")),
        (AUTHOR_FEED, feed, ("feed", 0, "post", "author")),
    ):
        ann.answers(nsid, body)
        found = (await ann.ask(nsid)).json
        for key in way:
            found = found[key]
        assert found["displayName"] == "Ann"
        blob = found["avatar"].removeprefix(ann.pds.ctx.settings.public_url)
        assert (await ann.pds.request("GET", blob)).status == 200


async def test_like_changes_no_answer(ann: Ann) -> None:
    body = ann.answers(LIKES, {"feed": [item(BOB, 1)]})
    record = like(ROOT, item(BOB, 1)["post"]["cid"])
    assert (await create(ann.pds, ann.account, record, "app.bsky.feed.like")).status == 200
    reply = await ann.ask(LIKES)
    assert (reply.body, reply.headers[REV]) == (body, ann.rev)


async def test_new_reply_is_in_its_thread(ann: Ann) -> None:
    ann.answers(THREAD, {"thread": node(post_view(BOB, 1))})
    await ann.post("reply", **reply_to(ROOT, ROOT))
    reply = await ann.ask(THREAD)
    assert [one["post"]["record"]["text"] for one in reply.json["thread"]["replies"]] == ["reply"]


async def test_new_post_has_a_thread(ann: Ann) -> None:
    written = await ann.post("reply", **reply_to(ROOT, ROOT))

    def answer(query: Query) -> Answer:
        if query.params["uri"] == ROOT:
            return Answer({"thread": node(post_view(BOB, 1))})
        error = {"error": "NotFound", "message": "Post not found"}
        return Answer(error, 400, {"atproto-repo-rev": ann.rev})

    ann.appview.answers[THREAD] = answer
    for author in (ann.account.did, "ann.test"):
        wanted = written["uri"].replace(ann.account.did, author)
        thread = (await ann.ask(THREAD, uri=wanted, parentHeight=3)).json["thread"]
        assert thread["post"]["uri"] == written["uri"]
        assert thread["parent"]["post"]["uri"] == ROOT
    asked = ann.appview.queries[-1]
    assert asked.params == {"uri": ROOT, "parentHeight": "3", "depth": "0"}
    claims = decode_part(asked.headers["authorization"].split(".")[1])
    assert (claims["iss"], claims["aud"], claims["lxm"]) == (ann.account.did, APPVIEW_DID, THREAD)


async def test_thread_that_is_nowhere_is_not_found(ann: Ann) -> None:
    await ann.post("new")
    ann.answers(THREAD, {"error": "NotFound", "message": "Post not found"}, 400)
    for wanted in (ROOT, uri(ann.account.did, 1), f"at://nobody.test/{POST}/3kaaaaaaaaaaa"):
        assert (await ann.ask(THREAD, uri=wanted)).error == (400, "NotFound")


async def test_other_errors_are_passed_on(ann: Ann) -> None:
    written = await ann.post("new")
    for nsid, params in ((TIMELINE, {}), (THREAD, {"uri": written["uri"]})):
        ann.answers(nsid, {"error": "Odd", "message": "text"}, 400)
        assert (await ann.ask(nsid, **params)).error == (400, "Odd")


async def test_quote_is_asked_for_in_the_name_of_the_account(ann: Ann) -> None:
    ann.answers(TIMELINE, {"feed": []})
    ann.answers(GET_POSTS, {"posts": [post_view(BOB, 1)]})
    await ann.post("quote", embed={"$type": "app.bsky.embed.record", "record": ref(ROOT)})
    embed = (await ann.ask(TIMELINE)).json["feed"][0]["post"]["embed"]
    assert embed["record"]["value"]["text"] == "post 1"
    asked = ann.appview.queries[-1]
    assert (asked.nsid, asked.params) == (GET_POSTS, {"uris": ROOT})
    claims = decode_part(asked.headers["authorization"].split(".")[1])
    assert (claims["iss"], claims["lxm"]) == (ann.account.did, GET_POSTS)


@pytest.mark.parametrize(
    ("status", "body"), [(500, {"error": "Broken"}), (200, {"posts": 1}), (200, b"no JSON")]
)
async def test_failed_merge_leaves_the_answer_and_is_logged(
    ann: Ann, status: int, body: Any
) -> None:
    original = ann.answers(TIMELINE, {"feed": [item(BOB, 1)]})
    ann.answers(GET_POSTS, body, status)
    await ann.post("quote", embed={"$type": "app.bsky.embed.record", "record": ref(ROOT)})
    with capture_logs() as logs:
        reply = await ann.ask(TIMELINE)
    assert (reply.status, reply.body, reply.headers[REV]) == (200, original, ann.rev)
    logged = [(one["method"], one["did"]) for one in logs if one["event"] == FAILED]
    assert logged == [(TIMELINE, ann.account.did)]


@every_method
@pytest.mark.parametrize(
    "body",
    [b"", b"no JSON", b"[]", b"{}", b'{"feed":[1],"profiles":[1],"thread":1,"did":1}'],
    ids=range(5),
)
async def test_answer_of_another_shape_is_passed_on(ann: Ann, nsid: str, body: bytes) -> None:
    await put(ann.pds, ann.account, "self", {"$type": PROFILE, "displayName": "Ann"}, PROFILE)
    await ann.post("new")
    ann.answers(nsid, body)
    url = f"{ann.pds.url}/xrpc/{nsid}"
    async with ann.pds.http.get(url, headers=ann.account.auth, params=CALLS[nsid]) as reply:
        assert (reply.status, await reply.read()) == (200, body)


@pytest.mark.parametrize("kind", ["text/plain", "application/cbor", ""])
async def test_answer_that_is_not_called_json_is_passed_on(ann: Ann, kind: str) -> None:
    await ann.post("new")
    body = ann.answers(TIMELINE, {"feed": []}, headers={"content-type": kind})
    reply = await ann.pds.request("GET", f"/xrpc/{TIMELINE}", headers=ann.account.auth)
    assert reply.body == body


@pytest.mark.parametrize("rev", ["", "zzzz", "2222222222222", "x" * 4000])
async def test_rev_that_says_nothing_changes_nothing(ann: Ann, rev: str) -> None:
    await ann.post("new")
    body = ann.answers(TIMELINE, {"feed": []}, headers={"atproto-repo-rev": rev})
    assert (await ann.ask(TIMELINE)).body == body


async def test_deactivated_account_is_not_shown(ann: Ann) -> None:
    await ann.post("new")
    body = ann.answers(TIMELINE, {"feed": []})
    await deactivate(ann.pds, ann.account)
    with capture_logs() as logs:
        assert (await ann.ask(TIMELINE)).body == body
    assert FAILED not in {one["event"] for one in logs}


async def test_another_appview_of_the_client_is_made_up_for_as_well(ann: Ann) -> None:
    did = register_service(ann.pds, {"bsky_appview": ann.appview.url})
    ann.answers(TIMELINE, {"feed": []})
    await ann.post("new")
    assert texts(await ann.ask(TIMELINE, via(did, "bsky_appview"))) == ["new"]


async def test_head_and_a_known_answer_have_no_body(ann: Ann) -> None:
    ann.answers(TIMELINE, {"feed": []})
    await ann.post("new")
    path = f"/xrpc/{TIMELINE}"
    whole = await ann.pds.request("GET", path, headers=ann.account.auth)
    head = await ann.pds.request("HEAD", path, headers=ann.account.auth)
    assert (head.status, head.body) == (200, b"")
    known = {**ann.account.auth, "If-None-Match": whole.headers["ETag"]}
    assert (await ann.pds.request("GET", path, headers=known)).status == 304


@every_method
async def test_nobody_and_wrong_parameters_are_refused(ann: Ann, nsid: str) -> None:
    assert (await ann.pds.get(nsid, **CALLS[nsid])).error == (401, "AuthMissing")
    refresh = await ann.pds.get(nsid, ann.account.refresh_auth, **CALLS[nsid])
    assert refresh.error == (400, "InvalidToken")
    wrong = {TIMELINE: {"limit": 1000}}.get(nsid, {"limit": 1})
    assert (await ann.pds.get(nsid, ann.account.auth, **wrong)).error == (400, "InvalidRequest")
    assert ann.appview.queries == []


async def test_appview_that_is_away_is_an_upstream_failure(ann: Ann) -> None:
    await ann.post("new")
    did = register_service(ann.pds, {"bsky_appview": "http://127.0.0.1:1"})
    reply = await ann.ask(TIMELINE, via(did, "bsky_appview"))
    assert reply.error == (502, "UpstreamFailure")


@pytest.fixture
async def lone_pds(tmp_path: Path) -> AsyncIterator[Pds]:
    """A server without an AppView."""
    async with AsyncExitStack() as stack:
        yield await start_pds(stack, tmp_path, {})


@every_method
async def test_without_an_appview_there_is_no_answer(lone_pds: Pds, nsid: str) -> None:
    account = await lone_pds.create_account()
    reply = await lone_pds.get(nsid, account.auth, **CALLS[nsid])
    assert reply.error == (400, "InvalidRequest")
    assert reply.json["message"] == f"No service configured for {nsid}"
