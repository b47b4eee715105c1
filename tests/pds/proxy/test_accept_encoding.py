"""Answers that this server reads, or could: it refuses clients that take none of its encodings."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from tests.pds.conftest import Account, Pds, Reply
from tests.pds.upstream import Upstream, register_service, via

TIMELINE = "app.bsky.feed.getTimeline"
STRANGER = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
FEED = f"at://{STRANGER}/app.bsky.feed.generator/knots"
RECORD = {"repo": STRANGER, "collection": "com.example.note", "rkey": "a"}

Ask = Callable[[str], Awaitable[Reply]]


@pytest.fixture
def timeline(pds: Pds, alice: Account) -> Ask:
    """Asks for an answer that read-after-write reads."""
    return lambda accepted: pds.get(TIMELINE, alice.auth | {"Accept-Encoding": accepted})


@pytest.mark.parametrize(
    "accepted",
    [
        *("", "identity", "gzip, deflate, br", "GZip", "*", "zstd", "x-gzip", "gzip;q=0"),
        *("*;q=0, identity", "gzip;q=0.001", "gzip;Q=0.5", "gzip;q=.5", "a b", "br, identity"),
        # White space and empty elements, as RFC 9110 allows them.
        *("gzip ; q=0.5", "gzip,", ",", " , gzip"),
    ],
)
async def test_a_plain_answer_is_right_unless_it_is_refused(
    appview: Upstream, timeline: Ask, accepted: str
) -> None:
    reply = await timeline(accepted)
    assert (reply.status, reply.json) == (200, {"ok": True})
    assert "Content-Encoding" not in reply.headers


@pytest.mark.parametrize(
    ("accepted", "encoding"),
    [
        ("gzip, *;q=0", "gzip"),
        ("deflate, identity;q=0", "deflate"),
        ("*;q=0.5, identity;q=0", "gzip"),
        ("gzip;q=0.1, deflate;q=0.2, identity;q=0", "deflate"),
    ],
)
async def test_who_refuses_a_plain_answer_gets_a_short_one_packed(
    appview: Upstream, timeline: Ask, accepted: str, encoding: str
) -> None:
    reply = await timeline(accepted)
    assert (reply.status, reply.json) == (200, {"ok": True})
    assert reply.headers["Content-Encoding"] == encoding


@pytest.mark.parametrize(
    "accepted",
    [
        *("*;q=0", "identity;q=0", "zstd, identity;q=0", "invalid, *;q=0", "zstd, *;q=0.0"),
        *("gzip;q=0, identity;q=0", "br, *;q=0"),
    ],
)
async def test_who_accepts_nothing_gets_406(
    appview: Upstream, timeline: Ask, accepted: str
) -> None:
    reply = await timeline(accepted)
    assert reply.error == (406, "NotAcceptable")
    assert reply.json["message"] == ("this service does not support any of the requested encodings")
    assert appview.received == []


@pytest.mark.parametrize(
    "element",
    [
        *(";q=1", "q=1", "gzip;q", "gzip;q=", "gzip;q=x", "gzip;q=2", "gzip;q=-1", "gzip;q=nan"),
        *("gzip;q=0.0001", "gzip;q=0.5;a=b", "gzip;a=b", "gzip;q=1=1", "gzip;", "gzip;q=0.5x"),
    ],
)
async def test_what_cannot_be_read_gets_400(appview: Upstream, timeline: Ask, element: str) -> None:
    for accepted in (element, f"identity,{element}"):
        reply = await timeline(accepted)
        assert reply.error == (400, "InvalidRequest")
        assert reply.json["message"] == f'Invalid accept-encoding: "{element}"'
    assert appview.received == []


async def test_a_long_header_is_quoted_in_part(timeline: Ask) -> None:
    reply = await timeline("x" * 5_000 + ";q=2")
    assert reply.status == 400
    assert len(reply.json["message"]) < 200


async def test_so_it_is_for_feeds_records_and_preferences_of_other_services(
    pds: Pds, alice: Account, other: Upstream, appview: Upstream
) -> None:
    appview.answers_json({"value": {"did": "did:web:generator.example.com"}})
    named = alice.auth | via(register_service(pds, {"thing": other.url}), "thing")
    for nsid, params in (
        ("app.bsky.feed.getFeed", {"feed": FEED}),
        ("com.atproto.repo.getRecord", RECORD),
        ("app.bsky.actor.getPreferences", {}),
    ):
        for accepted, status in (("x, *;q=0", 406), (";q=1", 400), ("br, *;q=0", 200)):
            headers = named | {"Accept-Encoding": accepted}
            assert (await pds.get(nsid, headers, **params)).status == status
    assert len(other.received) == 3


async def test_what_is_not_read_here_is_for_the_other_service_to_refuse(
    pds: Pds, alice: Account, appview: Upstream
) -> None:
    for accepted in ("x, *;q=0", ";q=1"):
        headers = alice.auth | {"Accept-Encoding": accepted}
        assert (await pds.get("app.bsky.actor.searchActors", headers)).status == 200
        assert appview.last.headers["Accept-Encoding"] == accepted
