"""What granted scopes allow, and what a refusal asks for."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pds.oauth.scopes.granted import GrantedScopes
from pds.oauth.scopes.missing import ScopeMissing

APPVIEW = "did:web:api.bsky.app#bsky_appview"
POST, LIKE = "app.bsky.feed.post", "app.bsky.feed.like"
FEED, LOG = "app.bsky.feed.getFeed", "chat.bsky.convo.getLog"

Check = Callable[[GrantedScopes], None]


def repo(action: str, collection: str) -> Check:
    return lambda granted: granted.check_repo(action, collection)


def rpc(lxm: str, aud: str) -> Check:
    return lambda granted: granted.check_rpc(lxm, aud)


def blob(media_type: str) -> Check:
    return lambda granted: granted.check_blob(media_type)


def account(attribute: str, action: str) -> Check:
    return lambda granted: granted.check_account(attribute, action)


def identity(attribute: str) -> Check:
    return lambda granted: granted.check_identity(attribute)


@pytest.mark.parametrize(
    ("scope", "check"),
    [
        (f"repo:{POST}", repo("create", POST)),
        (f"repo:{POST}?action=delete", repo("delete", POST)),
        ("repo:*?action=update", repo("update", LIKE)),
        (f"atproto repo:{LIKE} repo:{POST}", repo("create", POST)),
        ("transition:generic", repo("delete", POST)),
        (f"rpc:{FEED}?aud=did:web:api.bsky.app%23bsky_appview", rpc(FEED, APPVIEW)),
        (f"rpc:{FEED}?aud=*", rpc(FEED, "did:web:anywhere.example")),
        ("rpc:*?aud=did:web:api.bsky.app%23bsky_appview", rpc(LOG, APPVIEW)),
        ("rpc:*?aud=did:web:api.bsky.app%23bsky_appview", rpc("*", APPVIEW)),
        ("transition:generic", rpc(FEED, APPVIEW)),
        ("transition:generic", rpc("*", APPVIEW)),
        ("transition:chat.bsky", rpc(LOG, "did:web:api.bsky.chat#bsky_chat")),
        ("blob:image/*", blob("image/png")),
        ("blob:*/*", blob("text/plain")),
        ("blob:image/svg+xml", blob("image/svg+xml")),
        ("transition:generic", blob("nonsense")),
        ("account:email", account("email", "read")),
        ("account:email?action=manage", account("email", "read")),
        ("account:repo?action=manage", account("repo", "manage")),
        ("transition:email", account("email", "read")),
        ("identity:handle", identity("handle")),
        ("identity:*", identity("handle")),
        ("identity:*", identity("*")),
    ],
)
def test_allowed(scope: str, check: Check) -> None:
    check(GrantedScopes.of(scope))
    with pytest.raises(ScopeMissing):
        check(GrantedScopes.of("atproto"))


@pytest.mark.parametrize(
    ("scope", "check", "missing"),
    [
        (None, repo("create", POST), f"repo:{POST}?action=create"),
        (f"repo:{LIKE}", repo("create", POST), f"repo:{POST}?action=create"),
        (f"repo:{POST}?action=update", repo("delete", POST), f"repo:{POST}?action=delete"),
        (f"include:{POST}", repo("delete", POST), f"repo:{POST}?action=delete"),
        (
            f"rpc:{FEED}?aud=did:web:api.bsky.app%23other",
            rpc(FEED, APPVIEW),
            f"rpc:{FEED}?aud=did:web:api.bsky.app%23bsky_appview",
        ),
        (
            "rpc:*?aud=did:web:api.bsky.app%23bsky_appview",
            rpc(FEED, "did:web:api.bsky.app"),
            f"rpc:{FEED}?aud=did:web:api.bsky.app",
        ),
        (f"rpc:{FEED}?aud=*", rpc("*", APPVIEW), "rpc:*?aud=did:web:api.bsky.app%23bsky_appview"),
        ("rpc:*?aud=*", rpc(FEED, "did:web:x"), f"rpc:{FEED}?aud=did:web:x"),
        ("transition:generic", rpc(LOG, "did:web:x"), f"rpc:{LOG}?aud=did:web:x"),
        (
            "transition:generic",
            rpc("Chat.BSKY.convo.getLog", "did:web:x"),
            "rpc:Chat.BSKY.convo.getLog?aud=did:web:x",
        ),
        ("transition:chat.bsky", rpc(FEED, "did:web:x"), f"rpc:{FEED}?aud=did:web:x"),
        ("blob:image/*", blob("video/mp4"), "blob:video/mp4"),
        ("blob:*/*", blob("image/*"), "blob:image/*"),
        ("account:email", account("email", "manage"), "account:email?action=manage"),
        ("transition:email", account("email", "manage"), "account:email?action=manage"),
        ("transition:generic transition:chat.bsky", account("email", "read"), "account:email"),
        ("account:email", account("repo", "read"), "account:repo"),
        ("identity:handle", identity("*"), "identity:*"),
        ("transition:generic", identity("handle"), "identity:handle"),
        ("Transition:generic TRANSITION:GENERIC", blob("image/png"), "blob:image/png"),
    ],
)
def test_refused_with_the_missing_scope(scope: str | None, check: Check, missing: str) -> None:
    with pytest.raises(ScopeMissing) as caught:
        check(GrantedScopes.of(scope))
    assert caught.value.scope == missing
    assert str(caught.value) == f'Missing required scope "{missing}"'


def test_the_same_list_is_parsed_once() -> None:
    scope = "atproto repo:com.example.once"
    assert GrantedScopes.of(scope) is GrantedScopes.of(f"{scope}")
    assert GrantedScopes.of(scope).values == {"atproto", "repo:com.example.once"}


def test_a_list_too_long_for_the_cache_is_parsed_nonetheless() -> None:
    scope = "x" * 1_000_001 + " identity:*"
    assert GrantedScopes.of(scope).allows_identity("handle")
