"""Requests that are passed on to other services; `<service>` is one that both servers reach."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from tests.conformance.answers.case import Case, Topic, call, query

SEARCH = "app.bsky.actor.searchActors"
REPORT = "com.atproto.moderation.createReport"
ECHO = {"atproto-proxy": "<service>#echo"}
STRANGER = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
JSON = {"Content-Type": "application/json"}


def _named(name: str, header: str, as_: str | None = "ann") -> Case:
    return Case(name, "GET", f"/xrpc/{SEARCH}", as_=as_, headers={"atproto-proxy": header})


def _send(
    name: str, query_: str = "", method: str = "GET", body: Any = None, **headers: str
) -> Case:
    sent = {key.replace("_", "-"): value for key, value in headers.items()}
    return Case(name, method, f"/xrpc/{SEARCH}{query_}", body, "ann", ECHO | sent)


def _refused(status: int, as_: str = "json") -> Case:
    return _send(f"a service answers {status} as {as_}", f"?status={status}&as={as_}")


def _report(name: str, query_: str = "", body: Any = None, as_: str | None = "ann") -> Case:
    return Case(name, "POST", f"/xrpc/{REPORT}{query_}", body or _REPORT, as_, ECHO)


def _push(name: str, service_did: str, nsid: str = "registerPush", as_: str | None = "ann") -> Case:
    device = {"serviceDid": service_did, "token": "t", "platform": "ios", "appId": "a"}
    return call(name, f"app.bsky.notification.{nsid}", device, as_)


def _accepting(encodings: str, path: str = "app.bsky.feed.getTimeline") -> Case:
    headers = {**ECHO, "Accept-Encoding": encodings}
    method = path.partition("?")[0].rpartition(".")[2]
    return Case(f'{method}, accepting "{encodings}"', "GET", f"/xrpc/{path}", None, "ann", headers)


_REPORT = {
    "reasonType": "com.atproto.moderation.defs#reasonSpam",
    "subject": {"$type": "com.atproto.admin.defs#repoRef", "did": "<ann>"},
}
_FEED = f"at://{STRANGER}/app.bsky.feed.generator/a"
_RECORD = {"repo": STRANGER, "collection": "com.example.note", "rkey": "a"}
_RECORD_PATH = f"/xrpc/com.atproto.repo.getRecord?{urlencode(_RECORD)}"
_PREFERENCES = "app.bsky.actor.getPreferences"
_ACCEPTED = (
    *(
        "",
        "identity",
        "gzip, deflate, br",
        "GZip",
        "*",
        "zstd",
        "x-gzip",
        "gzip;q=0",
        "gzip;q=0.001",
    ),
    *("gzip, *;q=0", "deflate, identity;q=0", "*;q=0, identity", "*;q=0.5, identity;q=0"),
    *("br, *;q=0", "gzip;q=1.000", "gzip;Q=0.5", "gzip , deflate", "gzip; q=0.5", "gzip ;q=0.5"),
    *("gzip,", ",", "*;q=0", "identity;q=0", "zstd, identity;q=0", "invalid, *;q=0"),
    *("gzip;q=0, identity;q=0", "zstd, *;q=0.0", ";q=1", "q=1", "gzip;q", "gzip;q=", "gzip;q=x"),
    *("gzip;q=2", "gzip;q=-1", "gzip;q=0.0001", "gzip;q=0.5;a=b", "gzip;a=b", "gzip;q=0.5x"),
    *("gzip;q=1=1", "a b", "gzip;", "gzip;q=nan", "gzip;q=.5", "gzip;q=1e-1", "gzip;q=0.1234"),
)

TOPIC = Topic(
    "proxying",
    ("ann",),
    (
        query("for nobody", SEARCH),
        query("to an AppView that is out of reach", SEARCH, "ann"),
        query("to a moderation service that is not there", "tools.ozone.team.listMembers", "ann"),
        query("to none, for nobody", "tools.ozone.team.listMembers"),
        Case("by another verb", "PUT", f"/xrpc/{SEARCH}", {}, "ann"),
        _named("no id", "did:web:x.example"),
        _named("no id, for nobody", "did:web:x.example", None),
        _named("an empty id", "did:web:x.example#"),
        _named("no did", "#id"),
        _named("two ids", "did:web:x.example#a#b"),
        _named("a space", "did:web:x.example#a b"),
        _named("a DID that is not registered", f"{STRANGER}#echo"),
        _named("a DID that is out of reach", "did:web:nowhere.invalid#echo"),
        _named("a service that is not in the document", "<service>#other"),
        _named("nothing", ""),
        _send("a query", "?q=a%20b+c&x=%zz&&q=%C3%A9", Accept_Encoding="gzip"),
        _send(
            "headers of a query",
            Accept="a/b",
            Accept_Encoding="br",
            Accept_Language="de",
            Atproto_Accept_Labelers="did:plc:x",
            Content_Type="x/y",
            Cookie="a=b",
            If_None_Match="*",
            User_Agent="me",
            X_Atproto_Thing="1",
            X_Bsky_Topics="knots",
            X_Other="2",
        ),
        _send("a procedure", method="POST", body={"a": "ü"}),
        _send(
            "a procedure in gzip", method="POST", body=b"packed", Content_Encoding="gzip", **JSON
        ),
        _send("a procedure without a body", method="POST"),
        _send("a head", method="HEAD"),
        *(_refused(status) for status in (400, 401, 404, 409, 429, 500, 501, 503, 599)),
        *(_refused(status, "text") for status in (400, 500, 503)),
        *(_refused(status, "nothing") for status in (400, 403, 413, 429, 500, 504)),
        _refused(400, "gzip"),
        _refused(302, "nothing"),
        _refused(204, "nothing"),
        _send("a service that breaks off", "?slam=1"),
        call(
            "an app password",
            "com.atproto.server.createAppPassword",
            {"name": "app"},
            "ann",
            keep={"password": ("password",)},
        ),
        call(
            "its session",
            "com.atproto.server.createSession",
            {"identifier": "<ann>", "password": "<password>"},
            keep={"session": ("accessJwt",)},
        ),
        Case("by an app", "GET", f"/xrpc/{SEARCH}", None, "Bearer <session>", ECHO),
        Case(
            "chats by an app", "GET", "/xrpc/chat.bsky.convo.getLog", None, "Bearer <session>", ECHO
        ),
        Case("chats", "GET", "/xrpc/chat.bsky.convo.getLog", None, "ann", ECHO),
        _report("a report"),
        _report("a report by nobody", as_=None),
        _report("a report without a subject", body={"reasonType": "x"}),
        _report("a report that is refused", "?status=400"),
        _report("a report that breaks the service", "?status=500"),
        _report("a report to a service that breaks off", "?slam=1"),
        call("a report to nobody", REPORT, _REPORT, "ann"),
        _push("a device", "<service>"),
        _push("a device of nobody", "<service>", as_=None),
        _push("a device less", "<service>", "unregisterPush"),
        _push("a device at no service", "<ann>"),
        _push("a device nowhere", STRANGER),
        _push("a device at no DID", "xx"),
        query("a feed", "app.bsky.feed.getFeed", "ann", feed=_FEED),
        query("a feed of nobody", "app.bsky.feed.getFeed", feed=_FEED),
        query("a feed that is none", "app.bsky.feed.getFeed", "ann", feed="x"),
        query("a record elsewhere", "com.atproto.repo.getRecord", **_RECORD),
        Case("a record at a service", "GET", _RECORD_PATH, None, "ann", ECHO),
        Case("a record at a service, for nobody", "GET", _RECORD_PATH, None, None, ECHO),
        Case("preferences elsewhere", "GET", f"/xrpc/{_PREFERENCES}", None, "ann", ECHO),
        Case(
            "new preferences elsewhere",
            "POST",
            "/xrpc/app.bsky.actor.putPreferences",
            {"preferences": []},
            "ann",
            ECHO,
        ),
        query("preferences here", _PREFERENCES, "ann"),
        *map(_accepting, _ACCEPTED),
        *(
            _accepting(accepted, path)
            for path in (_PREFERENCES, _RECORD_PATH.removeprefix("/xrpc/"), SEARCH)
            for accepted in ("gzip;q=0", "invalid, *;q=0", ";q=1")
        ),
    ),
)
