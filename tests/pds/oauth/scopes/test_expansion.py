"""Permission sets in place of `include:`."""

from __future__ import annotations

from typing import Any

import pytest

from pds.oauth.scopes.expansion import expand, includes_of

SET = "com.example.calendar.authFull"
AUD = "did:web:api.example.com#calendar"
ENCODED = "did:web:api.example.com%23calendar"


def permission(resource: str, **fields: Any) -> dict[str, Any]:
    return {"type": "permission", "resource": resource, **fields}


@pytest.mark.parametrize(
    ("scope", "includes"),
    [
        ("atproto", []),
        (f"include:com.example.a x include:com.example.b?aud={ENCODED}", ["a", "b"]),
        (f"include:com.example.a include:com.example.a?aud={ENCODED}", ["a", "a"]),
        ("include:bad include:com.example.a?x=y", []),
    ],
)
def test_includes_are_found(scope: str, includes: list[str]) -> None:
    assert [one.nsid for one in includes_of(scope)] == [f"com.example.{name}" for name in includes]


@pytest.mark.parametrize(
    ("listed", "scopes"),
    [
        (
            permission("repo", collection=["com.example.calendar.event"]),
            "repo:com.example.calendar.event",
        ),
        (
            permission("repo", collection=["com.example.calendar.event"], action=["create"]),
            "repo:com.example.calendar.event?action=create",
        ),
        (
            permission("repo", collection=["com.example.calendar.b", "com.example.calendar.a.c"]),
            "repo?collection=com.example.calendar.a.c&collection=com.example.calendar.b",
        ),
        (
            permission("rpc", lxm=["com.example.calendar.get"], aud="*"),
            "rpc:com.example.calendar.get?aud=*",
        ),
        (
            permission("rpc", lxm=["com.example.calendar.get"], inheritAud=True),
            f"rpc:com.example.calendar.get?aud={ENCODED}",
        ),
    ],
)
def test_what_a_set_lists_is_granted(listed: dict[str, Any], scopes: str) -> None:
    expanded = expand(f"atproto include:{SET}?aud={ENCODED} account:email", {SET: [listed]})
    assert expanded == f"{scopes} atproto account:email"


@pytest.mark.parametrize(
    "listed",
    [
        permission("repo", collection=["*"]),
        permission("repo", collection=["app.bsky.feed.post"]),
        permission("repo", collection=["com.example.calendarx.event"]),
        permission("repo", collection=["com.example.calendar"]),
        permission("repo", collection=["com.example.calendar.a", "app.bsky.feed.post"]),
        permission("repo", collection="com.example.calendar.event"),
        permission("repo", collection=[]),
        permission("repo", collection=[7]),
        permission("repo", collection=["com.example.calendar.a"], action=[]),
        permission("repo", collection=["com.example.calendar.a"], action="create"),
        permission("repo", collection=["com.example.calendar.a"], more=1),
        permission("repo"),
        permission("rpc", lxm=["com.example.calendar.get"]),
        permission("rpc", lxm=["com.example.calendar.get"], inheritAud=False),
        permission("rpc", lxm=["com.example.calendar.get"], aud=AUD),
        permission("rpc", lxm=["com.example.calendar.get"], aud="*", inheritAud=True),
        permission("rpc", lxm=["com.example.calendar.get"], aud=["*"]),
        permission("rpc", lxm=["*"], inheritAud=True),
        permission("rpc", lxm=["chat.bsky.convo.getLog"], aud="*"),
        permission("rpc", inheritAud=True),
        permission("blob", accept=["*/*"]),
        permission("account", attr="email"),
        permission("identity", attr="*"),
        permission("include", nsid="com.example.calendar.other"),
        permission("unheard-of"),
    ],
)
def test_what_a_set_may_not_give_away_is_not_granted(listed: dict[str, Any]) -> None:
    assert expand(f"include:{SET}?aud={ENCODED} atproto", {SET: [listed]}) == "atproto"


def test_without_a_service_methods_that_leave_it_open_are_not_granted() -> None:
    listed = permission("rpc", lxm=["com.example.calendar.get"], inheritAud=True)
    assert expand(f"include:{SET} atproto", {SET: [listed]}) == "atproto"
