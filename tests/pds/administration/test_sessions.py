"""Sessions of the administrator: how long they last, and what ends them."""

from __future__ import annotations

import pytest

from database.connection import Database
from pds.administration.sessions import LIFETIME_S, MOST, RECENT_S, AdminSession, AdminSessions
from tests.pds.accounts.conftest import FakeClock

SECRET = b"s" * 32
FIRST = "first-pass"


def sessions_of(db: Database, clock: FakeClock, given: str = FIRST) -> AdminSessions:
    return AdminSessions(db, password=given, secret=SECRET, clock=clock)


@pytest.fixture
def sessions(db: Database, clock: FakeClock) -> AdminSessions:
    return sessions_of(db, clock)


def found(sessions: AdminSessions, token: str) -> AdminSession:
    session = sessions.find(token)
    assert session is not None
    return session


async def test_a_session_lasts_twelve_hours(sessions: AdminSessions, clock: FakeClock) -> None:
    token = await sessions.begin("127.0.0.1", "Firefox")
    clock.now_s += LIFETIME_S - 1
    assert found(sessions, token).user_agent == "Firefox"
    clock.now_s += 1
    assert sessions.find(token) is None
    assert sessions.list() == []


async def test_another_password_ends_every_session(
    sessions: AdminSessions, db: Database, clock: FakeClock
) -> None:
    token = await sessions.begin("127.0.0.1", "Firefox")
    assert sessions_of(db, clock).find(token) is not None
    changed = sessions_of(db, clock, "second-pass")
    assert (changed.find(token), changed.list()) == (None, [])


async def test_the_table_has_no_cookie_and_no_password(
    sessions: AdminSessions, db: Database
) -> None:
    token = await sessions.begin("127.0.0.1", "Firefox")
    stored = repr(db.all("SELECT * FROM holdfast_admin_session"))
    assert token not in stored
    assert "first-pass" not in stored


@pytest.mark.parametrize(
    "token", [None, "", "a" * 43, "a" * 44, "'; DROP", "ä" * 43, "a" * 100_000]
)
async def test_a_made_up_cookie_is_no_session(sessions: AdminSessions, token: str | None) -> None:
    await sessions.begin("127.0.0.1", "Firefox")
    assert sessions.find(token) is None


async def test_signing_out_ends_one_session_and_others_can_be_ended(
    sessions: AdminSessions,
) -> None:
    tokens = [await sessions.begin("127.0.0.1", f"browser {number}") for number in range(3)]
    await sessions.end(found(sessions, tokens[0]))
    assert sessions.find(tokens[0]) is None
    kept = found(sessions, tokens[1])
    await sessions.end_others(kept)
    assert sessions.list() == [kept]


async def test_the_password_is_recent_for_ten_minutes(
    sessions: AdminSessions, clock: FakeClock
) -> None:
    token = await sessions.begin("127.0.0.1", "Firefox")
    clock.now_s += RECENT_S
    assert sessions.is_recent(found(sessions, token))
    clock.now_s += 1
    assert not sessions.is_recent(found(sessions, token))
    await sessions.confirm(found(sessions, token))
    assert sessions.is_recent(found(sessions, token))


async def test_the_newest_sessions_replace_the_oldest(
    sessions: AdminSessions, clock: FakeClock
) -> None:
    first = await sessions.begin("127.0.0.1", "first")
    last = first
    for _ in range(MOST):
        clock.now_s += 1
        last = await sessions.begin("127.0.0.1", "x" * 5000)
    assert sessions.find(first) is None
    assert len(found(sessions, last).user_agent) == 300
    assert len(sessions.list()) == MOST


@pytest.mark.parametrize(
    ("text", "is_right"),
    [("first-pass", True), ("", False), ("first-pas", False), ("\ud800", False)],
)
def test_only_the_password_is_right(sessions: AdminSessions, text: str, is_right: bool) -> None:
    assert sessions.is_password(text) is is_right


def test_an_empty_password_is_never_right(db: Database, clock: FakeClock) -> None:
    assert not sessions_of(db, clock, "").is_password("")
