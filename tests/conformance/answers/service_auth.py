"""Tokens for other services, keys ahead of accounts, and what a DID should say."""

from __future__ import annotations

from typing import Any

from tests.conformance.answers.case import Case, Topic, call, query

AUD = "did:web:service.example.com"
LONG_AGO, FAR_AWAY = 1, 9_999_999_999


def _token(name: str, as_: str | None = "ann", *, aud: str = AUD, **params: Any) -> Case:
    return query(name, "com.atproto.server.getServiceAuth", as_, aud=aud, **params)


def _reserve(name: str, key: str | None = None, **body: Any) -> Case:
    keep = {} if key is None else {key: ("signingKey",)}
    return call(name, "com.atproto.server.reserveSigningKey", body, keep=keep)


def _identity(name: str, method: str, body: Any, as_: str | None = "ann") -> Case:
    return call(name, f"com.atproto.identity.{method}", body, as_)


TOPIC = Topic(
    "tokens",
    ("ann",),
    (
        _token("a token"),
        _token("a token for a method", lxm="app.bsky.feed.getTimeline"),
        _token("a token for a service", aud=f"{AUD}#some_service"),
        _token("a token for a server on this machine", aud="did:web:localhost%3A2583"),
        _token("a token of nobody", None),
        _token("a token by a refresh token", "ann:refresh"),
        *(
            _token(f"an audience: {aud[:30]}", aud=aud)
            for aud in (
                "service.example.com",
                "did:example:service",
                "did:plc:short",
                f"{AUD}:path",
                f"{AUD}%3A443",
                f"{AUD}%23",
                f"{AUD}#a#b",
                "did:web:" + "a" * 2048,
            )
        ),
        _token("a token of the past", exp=LONG_AGO),
        _token("a token that has no time", exp=0),
        _token("a token for long", exp=FAR_AWAY),
        _token("a token for a method, for long", exp=FAR_AWAY, lxm="app.bsky.feed.getTimeline"),
        _token("a token for a time that is none", exp="soon"),
        _token("a token for a method that is none", lxm="*"),
        _token("a token for a protected method", lxm="com.atproto.server.getSession"),
        _token("in capitals", lxm="com.atproto.server.GETSESSION"),
        _token("a token to move away", lxm="com.atproto.server.createAccount"),
        _reserve("a key for nobody", "nobodys_key"),
        _reserve("a key for a DID", "key", did="did:web:carol.example.com"),
        _reserve("the same key", did="did:web:carol.example.com"),
        _reserve("a key for a path", did="did:web:a/b"),
        query("the queue", "com.atproto.temp.checkSignupQueue", "ann"),
        query("the queue, for nobody", "com.atproto.temp.checkSignupQueue"),
        Case(
            "recommended credentials",
            "GET",
            "/xrpc/com.atproto.identity.getRecommendedDidCredentials",
            as_="ann",
            keep={"signing_key": ("verificationMethods", "atproto")},
        ),
        query(
            "recommended credentials, for nobody",
            "com.atproto.identity.getRecommendedDidCredentials",
        ),
        _identity("sign without a token", "signPlcOperation", {}),
        _identity("sign with a wrong token", "signPlcOperation", {"token": "AAAAA-BBBBB"}),
        _identity("sign as nobody", "signPlcOperation", {}, None),
        _identity("submit nothing", "submitPlcOperation", {}),
        _identity("submit what is no operation", "submitPlcOperation", {"operation": {}}),
        _identity("submit as nobody", "submitPlcOperation", {"operation": {}}, None),
    ),
)
