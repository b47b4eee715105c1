"""Browsers are recognised by cookies whose copies are soon worth nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from database.connection import Database
from pds.oauth.devices.device_sessions import (
    ROTATION_S,
    STALE_S,
    UNUSED_S,
    Device,
    DeviceSessions,
    Visitor,
)
from tests.pds.accounts.conftest import FakeClock

STRANGER = Visitor(None, None, "192.0.2.1", "Firefox", "key")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def sessions(db: Database, clock: FakeClock) -> DeviceSessions:
    return DeviceSessions(db, b"secret", clock=clock)


def _back(device: Device) -> Visitor:
    return replace(STRANGER, device_id=device.id, session_id=device.session_id)


async def test_a_browser_that_comes_back_is_recognised(sessions: DeviceSessions) -> None:
    first = await sessions.recognise(STRANGER)
    again = await sessions.recognise(_back(first))
    assert first.changed
    assert again == Device(first.id, first.session_id, changed=False)
    assert sessions.find(_back(first)) == first.id


async def test_the_session_id_changes_with_time_address_browser_and_on_demand(
    sessions: DeviceSessions, clock: FakeClock
) -> None:
    device = await sessions.recognise(STRANGER)
    seen = {device.session_id}
    for change in ({"ip_address": "192.0.2.2"}, {"user_agent": "Chrome"}, {}):
        visitor = replace(_back(device), **change)
        if not change:
            clock.now_s += ROTATION_S + 1
        device = await sessions.recognise(visitor)
        assert device.changed
        seen.add(device.session_id)
    device = await sessions.recognise(_back(device), rotate=True)
    seen.add(device.session_id)
    assert len(seen) == 5


async def test_requests_that_crossed_a_new_session_id_are_recognised(
    sessions: DeviceSessions, clock: FakeClock
) -> None:
    old = await sessions.recognise(STRANGER)
    new = await sessions.recognise(_back(old), rotate=True)
    clock.now_s += STALE_S - 1
    assert await sessions.recognise(_back(old)) == Device(old.id, new.session_id, changed=True)


async def test_sign_ins_that_crossed_leave_the_browser_what_it_is(
    sessions: DeviceSessions,
) -> None:
    """Whoever clicks three times sends three forms with the same cookies."""
    old = await sessions.recognise(STRANGER)
    devices = [await sessions.recognise(_back(old), rotate=True) for _ in range(3)]
    assert len({(device.id, device.session_id) for device in devices}) == 1
    assert devices[0].session_id != old.session_id


@pytest.mark.parametrize(
    "change",
    [
        {"ip_address": "192.0.2.2"},
        {"user_agent": "Chrome"},
        {"key": "other"},
        {"key": ""},
        {"key": None},
    ],
    ids=str,
)
async def test_who_planted_the_cookies_of_a_browser_does_not_follow_its_sign_in(
    sessions: DeviceSessions, change: dict[str, Any]
) -> None:
    planted = await sessions.recognise(STRANGER)
    signed_in = await sessions.recognise(_back(planted), rotate=True)
    attacker = replace(_back(planted), **change)
    assert sessions.find(attacker) is None
    followed = await sessions.recognise(attacker)
    assert followed.id != signed_in.id
    assert followed.session_id != signed_in.session_id


async def test_nobody_follows_the_sign_in_of_a_browser_without_a_key(
    sessions: DeviceSessions,
) -> None:
    first = await sessions.recognise(replace(STRANGER, key=None))
    old = replace(_back(first), key=None)
    await sessions.recognise(old, rotate=True)
    assert sessions.find(old) is None


async def test_a_browser_of_the_reference_opens_two_tabs_at_once(
    sessions: DeviceSessions, clock: FakeClock
) -> None:
    """The reference gives out no keys, so the first requests here have none."""
    old = replace(_back(await sessions.recognise(STRANGER)), key=None)
    clock.now_s += ROTATION_S + 1
    first, second = await sessions.recognise(old), await sessions.recognise(old)
    assert first == second
    assert first.id == old.device_id


async def test_an_old_copy_of_the_cookies_ends_the_device(
    sessions: DeviceSessions, clock: FakeClock
) -> None:
    old = await sessions.recognise(STRANGER)
    new = await sessions.recognise(_back(old), rotate=True)
    clock.now_s += STALE_S + 1
    thief = await sessions.recognise(_back(old))
    assert thief.id != old.id
    assert sessions.find(_back(new)) is None
    assert (await sessions.recognise(_back(new))).id not in (old.id, thief.id)


async def test_no_guessed_session_id_is_taken_for_the_one_before(
    sessions: DeviceSessions,
) -> None:
    device = await sessions.recognise(STRANGER)
    guess = replace(_back(device), session_id="ses-" + "0" * 32)
    assert sessions.find(guess) is None
    assert (await sessions.recognise(guess)).id != device.id


@pytest.mark.parametrize("cookie", ["", "dev-", "dev-" + "G" * 32, "dev-" + "0" * 33, "é" * 36])
async def test_a_malformed_cookie_is_a_new_browser(sessions: DeviceSessions, cookie: str) -> None:
    device = await sessions.recognise(STRANGER)
    visitor = replace(STRANGER, device_id=cookie, session_id=device.session_id)
    assert (await sessions.recognise(visitor)).id not in (device.id, cookie)


async def test_browsers_where_nobody_signed_in_are_forgotten(
    sessions: DeviceSessions, clock: FakeClock, db: Database
) -> None:
    for _ in range(5):
        await sessions.recognise(STRANGER)
    clock.now_s += UNUSED_S + 1
    await sessions.recognise(STRANGER)
    assert db.value("SELECT count(*) FROM device") == 1


async def test_a_long_user_agent_is_kept_short(sessions: DeviceSessions, db: Database) -> None:
    visitor = replace(STRANGER, user_agent="x" * 100_000)
    device = await sessions.recognise(visitor)
    assert db.value("SELECT length(userAgent) FROM device") == 500
    back = replace(visitor, device_id=device.id, session_id=device.session_id)
    assert not (await sessions.recognise(back)).changed


async def test_a_new_browser_costs_no_look_at_every_other(
    sessions: DeviceSessions, clock: FakeClock, db: Database
) -> None:
    for _ in range(500):
        await sessions.recognise(STRANGER)
    clock.now_s += UNUSED_S + 1
    await sessions.recognise(STRANGER)
    left = db.value("SELECT count(*) FROM device")
    assert 400 < left < 500
    for _ in range(20):
        await sessions.recognise(STRANGER)
    assert db.value("SELECT count(*) FROM device") == 21
