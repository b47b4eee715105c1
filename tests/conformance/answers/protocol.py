"""XRPC itself: paths, methods, bodies, parameters, before any method's own rules."""

from __future__ import annotations

from tests.conformance.answers.case import Case, Topic, call, query

LOGIN = "com.atproto.server.createSession"
LOGIN_PATH = f"/xrpc/{LOGIN}"
JSON = {"Content-Type": "application/json"}
LIST = "com.atproto.repo.listRecords"
NOTE = "com.example.note"


def _nested(depth: int) -> Case:
    body = b'{"a":' + b"[" * depth + b"]" * depth + b"}"
    return Case(f"a body of {depth} levels", "POST", LOGIN_PATH, body, headers=JSON)


TOPIC = Topic(
    "protocol",
    ("ann",),
    (
        query("health", "_health"),
        query("describe the server", "com.atproto.server.describeServer"),
        Case("a body that is not JSON", "POST", LOGIN_PATH, b'{"a":', headers=JSON),
        Case("a body that is an array", "POST", LOGIN_PATH, b"[1]", headers=JSON),
        Case("an empty body", "POST", LOGIN_PATH, b"", headers=JSON),
        Case("a body of text", "POST", LOGIN_PATH, b"hi", headers={"Content-Type": "text/plain"}),
        Case("a body without a type", "POST", LOGIN_PATH, b"hi"),
        Case(
            "a body that is too large",
            "POST",
            LOGIN_PATH,
            b'{"a":"' + b"x" * 160_000 + b'"}',
            headers=JSON,
        ),
        query("GET of a procedure", LOGIN),
        call("POST of a query", "com.atproto.server.getSession", {}, "ann"),
        Case("PUT", "PUT", "/xrpc/com.atproto.server.getSession", {}, "ann"),
        Case(
            "preflight",
            "OPTIONS",
            LOGIN_PATH,
            headers={"Access-Control-Request-Headers": "authorization"},
        ),
        query("a path that is no NSID", "foo"),
        query("no method at all", ""),
        query("a slash at the end", "com.atproto.server.describeServer/"),
        query("an unknown method", "com.example.foo.bar"),
        Case("a path outside XRPC", "GET", "/nothing"),
        query("a subscription over HTTP", "com.atproto.sync.subscribeRepos"),
        query("a subscription over HTTP, by a user", "com.atproto.sync.subscribeRepos", "ann"),
        Case("a subscription by HEAD", "HEAD", "/xrpc/com.atproto.sync.subscribeRepos"),
        call("a subscription by POST", "com.atproto.sync.subscribeRepos", {}, "ann"),
        _nested(1_000),
        _nested(40_000),
        query("a number below its minimum", LIST, repo="<ann>", collection=NOTE, limit=0),
        query("a number above its maximum", LIST, repo="<ann>", collection=NOTE, limit=5000),
        query("a number that is none", LIST, repo="<ann>", collection=NOTE, limit="abc"),
        query("a truth value that is none", LIST, repo="<ann>", collection=NOTE, reverse="maybe"),
        query("a parameter given twice", LIST, repo="<ann>", collection=NOTE, limit=[1, 2]),
        query("a parameter missing and one wrong", LIST, repo="<ann>", limit="abc"),
        query("an identifier that is none", LIST, repo="xx", collection=NOTE),
    ),
)
