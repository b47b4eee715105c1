"""What an account has just written, in the answers of an AppView that has not seen it yet.

Both servers stand before an AppView of the same answers, and the same records are written to both.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from pds.dev.plc_store import PlcStore
from tests.appview import Answer, AppView, Query, serve_appview
from tests.conformance.client import Client, Reply, bearer
from tests.pds.read_after_write.samples import (
    ANN,
    AUTHOR_FEED,
    BLOCKED,
    BOB,
    CDN,
    CID,
    GET_GENERATOR,
    GET_LIST,
    GET_POSTS,
    GET_PROFILE,
    GET_PROFILES,
    LIKES,
    NOT_FOUND,
    POST,
    PROFILE,
    THREAD,
    TIMELINE,
    Json,
    at,
    detailed_view,
    item,
    node,
    post_view,
    ref,
    reply_to,
    repost_by,
    uri,
)
from tests.processes import ServerProcess, free_port, serve
from tests.reference import data, plc
from tests.reference.server import Reference

pytestmark = [pytest.mark.conformance, pytest.mark.timeout(300)]

ROOT, ANSWER = uri(BOB, 1), uri(BOB, 2)
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(60))


@dataclass(slots=True)
class World:
    """One server, its AppView, and an account on it. In texts ANN stands for the account's DID."""

    client: Client
    appview: AppView
    did: str = ""
    auth: dict[str, str] = field(default_factory=dict)
    rev: str = ""
    """The last that the AppView has seen."""

    def sign_up(self, name: str) -> None:
        body = {"handle": f"{name}.test", "email": f"{name}@example.com", "password": "pw-pw-pw"}
        session = self.client.call("com.atproto.server.createAccount", body)
        self.did, self.auth = session["did"], bearer(session["accessJwt"])
        self.see(self.create({"text": "seen"}))

    def see(self, written: Any) -> None:
        """Let the AppView have seen everything up to a write."""
        self.rev = written["commit"]["rev"]

    def create(self, record: Json, collection: str = POST, **more: Any) -> Any:
        full = {"$type": collection, "createdAt": at(0), **record}
        body = {"repo": ANN, "collection": collection, "record": full, **more}
        return self._write("createRecord", body)

    def put_profile(self, record: Json) -> Any:
        body = {"collection": PROFILE, "rkey": "self", "record": {"$type": PROFILE, **record}}
        return self._write("putRecord", {"repo": ANN, **body})

    def upload(self, content: bytes = PNG, kind: str = "image/png") -> Any:
        path = "/xrpc/com.atproto.repo.uploadBlob"
        headers = {**self.auth, "Content-Type": kind}
        return self.client.request("POST", path, headers=headers, body=content).json["blob"]

    def answers(
        self, nsid: str, body: Any, status: int = 200, headers: Mapping[str, str] = {}
    ) -> None:
        """Let the AppView answer this, at the rev it has seen."""
        content = body if isinstance(body, bytes) else self._own(body)
        known = {"atproto-repo-rev": self.rev, "content-language": "en", **headers}
        self.appview.answers[nsid] = Answer(content, status, known)

    def ask(self, nsid: str, **params: Any) -> Any:
        """Call a query; gives status, headers that tell how the answer was made, and the body."""
        reply = self.client.get(nsid, self.auth, **self._own(params))
        body = reply.body.decode() if reply.json is None else reply.json
        return reply.status, _told(reply), self._plain(body)

    def _write(self, method: str, body: Json) -> Any:
        return self.client.call(f"com.atproto.repo.{method}", self._own(body), self.auth)

    def _own(self, value: Any) -> Any:
        return json.loads(json.dumps(value).replace(ANN, self.did))

    def _plain(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self._plain(child) for key, child in value.items()}
        if isinstance(value, list):
            return [self._plain(child) for child in value]
        if not isinstance(value, str):
            return value
        text = value.replace(self.did, ANN)
        for pattern, word in _VARYING:
            text = pattern.sub(word, text)
        return text


_VARYING = (
    (re.compile(rf"(?<={ANN}/{POST}/)[2-7a-z]{{13}}"), "RKEY"),
    (re.compile(rf"(?!{CID})bafyrei[2-7a-z]{{52}}"), "CID"),
    # Not those of the samples, which stand for what an AppView says.
    (re.compile(r"(?!2026-01-01T00:)\d{4}-\d\d-\d\dT[\d:.]+Z"), "TIME"),
)


def _told(reply: Reply) -> list[str]:
    named = ("atproto-repo-rev", "content-language", "atproto-upstream-lag")
    return [name for name in named if name in reply.headers]


Results = dict[str, Any]


def nothing_new(world: World) -> Results:
    """The AppView has seen all, or speaks of another repository, or of none."""
    timeline = {"feed": [item(BOB, 2), item(ANN, 1)], "cursor": "next", "more": {"x": None}}
    found = {}
    for nsid, body, params in (
        (GET_PROFILE, detailed_view(ANN), {"actor": ANN}),
        (GET_PROFILES, {"profiles": [detailed_view(ANN)]}, {"actors": ANN}),
        (LIKES, timeline, {"actor": ANN}),
        (AUTHOR_FEED, timeline, {"actor": ANN}),
        (TIMELINE, timeline, {}),
        (THREAD, {"thread": node(post_view(BOB, 1))}, {"uri": ROOT}),
    ):
        world.answers(nsid, body)
        found[nsid] = world.ask(nsid, **params)
    world.create({"text": "new"})
    for name, headers in (
        ("no rev", {"atproto-repo-rev": ""}),
        ("a rev before all records", {"atproto-repo-rev": "2222222222222"}),
        ("a rev that is none", {"atproto-repo-rev": "zzzz"}),
        ("no JSON", {"content-type": "text/plain"}),
    ):
        world.answers(TIMELINE, timeline, headers=headers)
        found[name] = world.ask(TIMELINE)
    return found


def profiles(world: World) -> Results:
    found = {}
    blob = world.upload()
    everything = {"displayName": "Ann", "description": "new", "avatar": blob, "banner": blob}
    for name, record in (("full", {**everything, "pronouns": "she"}), ("empty", {})):
        world.put_profile(record)
        for about, did in (("own", ANN), ("other", BOB)):
            world.answers(GET_PROFILE, detailed_view(did, pronouns="they"))
            found[f"{name}, {about}"] = world.ask(GET_PROFILE, actor=did)
        world.answers(GET_PROFILES, {"profiles": [detailed_view(BOB), detailed_view(ANN)]})
        found[f"{name}, several"] = world.ask(GET_PROFILES, actors=ANN)
        world.answers(LIKES, {"feed": [item(BOB, 2), item(ANN, 1)], "cursor": "next"})
        found[f"{name}, likes"] = world.ask(LIKES, actor=ANN)
    return found


def feeds(world: World) -> Results:
    found = {}
    world.put_profile({"displayName": "Ann", "avatar": world.upload()})
    for number in range(11):
        world.create({"text": f"new {number}"})
    pin = {"$type": "app.bsky.feed.defs#reasonPin"}
    for name, feed in (
        ("empty", []),
        ("own", [item(ANN, 9), item(BOB, 8), item(ANN, 7)]),
        ("own repost", [item(BOB, 9, reason=repost_by(ANN)), item(ANN, 7)]),
        ("pinned", [item(ANN, 9, reason=pin), item(ANN, 7)]),
        ("other", [item(BOB, 9), item(ANN, 7)]),
        ("new and old", [_in_future(item(BOB, 9)), item(ANN, 7)]),
        ("only newer", [_in_future(item(BOB, 9))]),
    ):
        for nsid, params in ((TIMELINE, {}), (AUTHOR_FEED, {"actor": ANN})):
            world.answers(nsid, {"feed": feed, "cursor": "next", "more": [1]})
            found[f"{name}, {nsid}"] = world.ask(nsid, **params)
    return found


def _in_future(item: Json) -> Json:
    return {**item, "post": {**item["post"], "indexedAt": "2999-01-01T00:00:00.000Z"}}


def embeds(world: World) -> Results:
    picture, video = world.upload(), world.upload(b"\0\0\0\x18ftypmp42" + bytes(60), "video/mp4")
    keep = {"text": "keeps its blobs", "createdAt": at(0), "pictures": [picture, video]}
    world.create(keep, "com.example.keep")
    card = {"uri": "https://example.com/", "title": "Title", "description": "Text"}
    images = {
        "$type": "app.bsky.embed.images",
        "images": [
            {"image": picture, "alt": "one", "aspectRatio": {"width": 3, "height": 2}},
            {"image": picture, "alt": ""},
        ],
    }
    external = {"$type": "app.bsky.embed.external", "external": {**card, "thumb": picture}}
    quote = {"$type": "app.bsky.embed.record", "record": ref(ROOT)}
    moving = {"$type": "app.bsky.embed.video", "video": video, "alt": "moving"}
    both = {"$type": "app.bsky.embed.recordWithMedia", "record": quote}
    generator, list_ = uri(BOB, 1, "app.bsky.feed.generator"), uri(BOB, 1, "app.bsky.graph.list")
    named = {"cid": CID, "creator": detailed_view(BOB), "indexedAt": at(1)}
    feed_view = {"uri": generator, "did": "did:web:feed.example", "displayName": "F", **named}
    list_view = {"uri": list_, "name": "L", "purpose": "app.bsky.graph.defs#curatelist", **named}
    quoted = {
        **post_view(BOB, 1),
        "embed": {"$type": f"{external['$type']}#view", "external": card},
    }
    world.answers(GET_POSTS, {"posts": [quoted]})
    world.answers(GET_GENERATOR, {"view": feed_view, "isOnline": True, "isValid": True})
    world.answers(GET_LIST, {"list": list_view, "items": []})
    found = {}

    def show(name: str, embed: Json) -> None:
        written = world.create({"text": name, "embed": embed})
        world.answers(TIMELINE, {"feed": []})
        found[name] = world.ask(TIMELINE)
        world.see(written)

    show("pictures", images)
    show("card", external)
    show("card without a picture", {**external, "external": card})
    show("quote", quote)
    show("quote with pictures", {**both, "media": images})
    show("quote with a card, untyped", {**both, "record": {"record": ref(ROOT)}, "media": external})
    show("video", moving)
    show("quote with a video", {**both, "media": moving})
    show("unknown", {"$type": "com.example.embed", "x": 1})
    show("feed", {**quote, "record": ref(generator)})
    show("list", {**quote, "record": ref(list_)})
    show("starter pack", {**quote, "record": ref(uri(BOB, 1, "app.bsky.graph.starterpack"))})
    world.answers(GET_POSTS, {"posts": []})
    show("quote of nothing", quote)
    world.answers(GET_POSTS, {"error": "Broken", "message": "x"}, 500)
    show("quote that fails", quote)
    world.answers(GET_POSTS, {"posts": [1]})
    show("quote of garbage", quote)
    world.answers(GET_GENERATOR, {"error": "InvalidRequest", "message": "no such feed"}, 400)
    show("feed that is gone", {**quote, "record": ref(generator)})
    return found


def threads(world: World) -> Results:
    first = world.create({"text": "to the answer", **reply_to(ANSWER, ROOT)})["uri"]
    world.create({"text": "to the root", **reply_to(ROOT, ROOT)})
    world.create({"text": "to the new one", **reply_to(first, ROOT)})
    world.create({"text": "in another thread", **reply_to(ANSWER, uri(BOB, 9))})
    world.create({"text": "to the answer, again", **reply_to(ANSWER, ROOT)})
    world.create({"text": "to nothing"})
    root, answer = post_view(BOB, 1), post_view(BOB, 2, **reply_to(ROOT, ROOT))
    found = {}
    for name, thread in (
        ("from the root", node(root, node(answer), NOT_FOUND, BLOCKED)),
        ("from the middle", node(answer, node(post_view(BOB, 3)), parent=node(root))),
        ("without replies", node(answer, replies=[])),
        ("not found", NOT_FOUND),
        ("blocked", BLOCKED),
    ):
        world.answers(THREAD, {"thread": thread, "more": 1})
        found[name] = world.ask(THREAD, uri=ROOT)
    return found


def new_threads(world: World) -> Results:
    """The AppView has not found the post that is asked for."""
    first = world.create({"text": "first"})["uri"]
    second = world.create({"text": "second", **reply_to(first, first)})["uri"]
    reply = world.create({"text": "reply", **reply_to(ANSWER, ROOT)})["uri"]
    parent = node(post_view(BOB, 2, **reply_to(ROOT, ROOT)), parent=node(post_view(BOB, 1)))
    known: dict[str, Any] = {}

    def answer(query: Query) -> Answer:
        body = known.get(query.params["uri"])
        if body is not None:
            return Answer({"thread": {**body, "parentHeight": query.params["parentHeight"]}})
        error = {"error": "NotFound", "message": "Post not found"}
        return Answer(error, 400, {"atproto-repo-rev": world.rev})

    world.appview.answers[THREAD] = answer
    found = {
        "a post": world.ask(THREAD, uri=first),
        "a post by handle": world.ask(THREAD, uri=first.replace(world.did, "ann-new-threads.test")),
        "a reply to a new post": world.ask(THREAD, uri=second),
        "a reply whose parent is gone": world.ask(THREAD, uri=reply),
        "a post of somebody else": world.ask(THREAD, uri=uri(BOB, 5)),
        "a post that is not there": world.ask(THREAD, uri=uri(ANN, 5)),
        "a record that is no post": world.ask(THREAD, uri=f"at://{ANN}/{PROFILE}/self"),
    }
    known[ANSWER] = parent
    found["a reply"] = world.ask(THREAD, uri=reply)
    found["a reply, with some parents"] = world.ask(THREAD, uri=reply, parentHeight=3, depth=2)
    known[ANSWER] = NOT_FOUND
    found["a reply whose parent cannot be shown"] = world.ask(THREAD, uri=reply)
    known.clear()
    world.rev = ""
    found["without a rev"] = world.ask(THREAD, uri=first)
    return found


def faults(world: World) -> Results:
    """What the AppView answers is not what it should, and is passed on."""
    world.put_profile({"displayName": "Ann"})
    world.create({"text": "new"})
    found = {}
    for name, nsid, body, params in (
        ("profile", GET_PROFILE, {"did": 1}, {"actor": ANN}),
        ("profiles", GET_PROFILES, {"profiles": {}}, {"actors": ANN}),
        ("feed", TIMELINE, {"feed": [{"post": 1}]}, {}),
        ("feed of nothing", TIMELINE, {}, {}),
        ("list", TIMELINE, [], {}),
        ("likes", LIKES, {"feed": [{}]}, {"actor": ANN}),
        ("thread", THREAD, {"thread": 1}, {"uri": ROOT}),
        ("replies", THREAD, {"thread": node(post_view(BOB, 1), replies=1)}, {"uri": ROOT}),
    ):
        world.answers(nsid, body)
        found[name] = world.ask(nsid, **params)
    world.answers(TIMELINE, {"error": "Odd", "message": "text"}, 400)
    found["an error"] = world.ask(TIMELINE)
    world.answers(THREAD, {"error": "Odd", "message": "text"}, 400)
    found["an error of a thread"] = world.ask(THREAD, uri=uri(ANN, 1))
    return found


TOPICS = (nothing_new, profiles, feeds, embeds, threads, new_threads, faults)


@dataclass(slots=True)
class Servers:
    """Both servers, each with an AppView of its own."""

    holdfast: Client
    reference: Client
    appviews: tuple[AppView, AppView]

    def worlds(self) -> Iterator[World]:
        for client, appview in zip((self.holdfast, self.reference), self.appviews, strict=True):
            appview.answers.clear()
            yield World(client, appview)


@pytest.fixture(scope="module", params=["", CDN], ids=["no CDN", "CDN"])
def servers(
    request: pytest.FixtureRequest, reference: Reference, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Servers]:
    home = tmp_path_factory.mktemp("servers")
    PlcStore(home / "plc.sqlite").close()
    with ExitStack() as stack:
        plc_url = stack.enter_context(plc.directory_of(home / "plc.sqlite"))
        appviews = stack.enter_context(serve_appview()), stack.enter_context(serve_appview())
        started: list[ServerProcess] = []
        for start, appview in zip((serve, reference.serve), appviews, strict=True):
            directory = home / f"data-{len(started)}"
            (directory / "blobs").mkdir(parents=True)
            env = data.environment(directory) | appview.environment
            env |= {
                "PDS_DID_PLC_URL": plc_url,
                "PDS_HOSTNAME": "pds.example",
                "PDS_BSKY_APP_VIEW_CDN_URL_PATTERN": request.param,
            }
            server = start(env, port=free_port(), log_file=directory.with_suffix(".log"))
            stack.callback(server.kill)
            started.append(server)
        ours, theirs = started
        yield Servers(Client(ours.url), Client(theirs.url), appviews)


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.__name__)
def test_both_servers_answer_alike(servers: Servers, topic: Callable[[World], Results]) -> None:
    found = []
    for world in servers.worlds():
        world.sign_up(f"ann-{topic.__name__.replace('_', '-')}")
        found.append(topic(world))
    ours, theirs = found
    for name in theirs:
        assert ours[name] == theirs[name], name


def test_differences_on_purpose(servers: Servers) -> None:
    """A post stands once in a feed, whatever page of it; what no client can read stands nowhere."""

    def texts(world: World, feed: list[Json], **params: Any) -> list[str]:
        world.answers(TIMELINE, {"feed": feed})
        _, _, body = world.ask(TIMELINE, **params)
        return [one["post"]["record"].get("text", "") for one in body["feed"]]

    found = []
    for world in servers.worlds():
        world.sign_up("ann-differs")
        new = world.create({"text": "new"})["uri"]
        known = {**item(ANN, 9), "post": {**post_view(ANN, 9), "uri": new}}
        results = {
            "known already": texts(world, [known]),
            "second page": texts(world, [item(BOB, 1)], cursor="second"),
            "last page": texts(world, [], cursor="last"),
        }
        world.see(world.create({"text": "seen as well"}))
        world.create({"text": 5}, validate=False)
        results["broken"] = texts(world, [])
        found.append(results)
    assert found == [
        {"known already": ["post 9"], "second page": ["post 1"], "last page": [], "broken": []},
        {
            "known already": ["new", "post 9"],
            "second page": ["new", "post 1"],
            "last page": ["new"],
            "broken": [5],
        },
    ]
