"""com.atproto.identity: resolving and changing handles."""

from __future__ import annotations

from tests.conformance.answers.case import Case, Topic, call, query


def _resolve(name: str, handle: str) -> Case:
    return query(name, "com.atproto.identity.resolveHandle", handle=handle)


def _update(name: str, handle: str, as_: str | None = "ben") -> Case:
    return call(name, "com.atproto.identity.updateHandle", {"handle": handle}, as_)


TOPIC = Topic(
    "identity",
    ("ann", "ben"),
    (
        _resolve("resolve", "ann-identity.test"),
        _resolve("resolve capitals", "ANN-identity.test"),
        _resolve("resolve an unknown handle", "nobody.test"),
        _resolve("resolve no handle", "x"),
        query("resolve without a handle", "com.atproto.identity.resolveHandle"),
        _update("by nobody", "other-identity.test", None),
        _update("a handle in use", "ann-identity.test"),
        _update("a new handle", "bob-identity.test"),
        _update("the same handle", "bob-identity.test"),
        _update("a handle that is none", "x"),
        _update("a reserved handle", "admin.test"),
        _resolve("the new handle", "bob-identity.test"),
        _resolve("the old handle", "ben-identity.test"),
        query("the session after it", "com.atproto.server.getSession", "ben"),
    ),
)
