"""com.atproto.server.createAccount: what it refuses; invite codes."""

from __future__ import annotations

from typing import Any

from tests.conformance.answers.case import Case, Topic, call
from tests.conformance.client import basic

INVITE = "com.atproto.server.createInviteCode"
USES = {"useCount": 1}
AUTHORIZATION = "Authorization"


def _refused(name: str, as_: str | None = None, **changes: Any) -> Case:
    body = {"handle": "new.test", "email": "new@example.com", "password": "pw", **changes}
    wanted = {key: value for key, value in body.items() if value is not None}
    return call(name, "com.atproto.server.createAccount", wanted, as_)


TOPIC = Topic(
    "signup",
    ("ann",),
    (
        _refused("a handle in use", handle="ann-signup.test"),
        _refused("an address in use", email="ANN-signup@example.com"),
        _refused("a handle without a domain", handle="x"),
        _refused("a handle with an underscore", handle="no_underscores.test"),
        _refused("a short handle", handle="a.test"),
        _refused("a long handle", handle="a" * 30 + ".test"),
        _refused("a handle below another", handle="a.bcd.test"),
        _refused("a handle elsewhere", handle="foo.example.com"),
        _refused("a handle of no public domain", handle="foo.local"),
        _refused("a reserved handle", handle="admin.test"),
        _refused("an address that is none", email="nope"),
        _refused("no address", email=None),
        _refused("a password that is too long", password="x" * 300),
        _refused("an operation of the client", plcOp={}),
        _refused("the DID of another", did="did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"),
        _refused("a DID that is none", did="nope"),
        _refused("basic authentication", as_="Basic foo"),
        call("invite code for nobody", INVITE, USES),
        call("invite code for a user", INVITE, USES, "ann"),
        call("a wrong administrator", INVITE, USES, basic("admin", "no")[AUTHORIZATION]),
        call("invite code", INVITE, USES, "admin"),
        call("a code without uses", INVITE, {}, "admin"),
        call("invite codes", "com.atproto.server.createInviteCodes", {"useCount": 2}, "admin"),
    ),
)
