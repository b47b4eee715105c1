"""The sweep: sessions that are over go, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from database.connection import Database
from database.opening import open_database
from pds.oauth.errors import InvalidGrant
from pds.oauth.tokens.lifetimes import LONG
from pds.oauth.tokens.sweep import SessionSweep
from pds.oauth.tokens.tokens import OAuthTokens
from tests.pds.accounts.conftest import FakeClock
from tests.pds.oauth.tokens.conftest import CONFIDENTIAL, JKT, KEY_AUTH, SignIn


def count(db: Database) -> int:
    return int(db.value("SELECT count(*) FROM token"))


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110 (of another task)
            await asyncio.sleep(0)


async def test_a_sweep_removes_sessions_again_and_again(
    tokens: OAuthTokens, db: Database, clock: FakeClock
) -> None:
    sweep = SessionSweep(db, clock=clock, first_s=0, every_s=0)
    with capture_logs() as logs:
        sweep.start()
        for _ in range(2):
            await SignIn().issue(tokens)
            clock.now_s += LONG.session_s + 1
            await until(lambda: count(db) == 0)
        await until(lambda: len(logs) == 2)
        await sweep.close()
    assert [log["sessions"] for log in logs] == [1, 1]


async def test_a_busy_database_does_not_end_the_sweep(
    tokens: OAuthTokens, db: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await SignIn().issue(tokens)
    clock.now_s += LONG.session_s + 1
    locked = open_database(db.path)
    locked.run("BEGIN IMMEDIATE")
    monkeypatch.setattr("database.retry.DELAYS_MS", (0, 0))
    sweep = SessionSweep(db, clock=clock, first_s=0, every_s=0)
    with capture_logs() as logs:
        sweep.start()
        await until(lambda: bool(logs))
        locked.close()
        await until(lambda: count(db) == 0)
        await sweep.close()
        await sweep.close()
    assert logs[0]["event"] == "OAuth sessions were not swept"


async def test_sessions_that_nothing_can_continue_are_removed(
    tokens: OAuthTokens, db: Database, clock: FakeClock
) -> None:
    idle = await SignIn(CONFIDENTIAL, KEY_AUTH).issue(tokens)
    for _ in range(3):
        await SignIn().issue(tokens)
    clock.now_s += LONG.idle_s + 1
    live = await SignIn(CONFIDENTIAL, KEY_AUTH).issue(tokens)
    db.run(
        "INSERT INTO used_refresh_token SELECT 'ref-' || id, id FROM token",
    )
    assert await SessionSweep(db, clock=clock).sweep() == 4
    assert await SessionSweep(db, clock=clock).sweep() == 0
    assert tokens.verify(live.access_token, JKT)
    assert db.all("SELECT tokenId FROM used_refresh_token") == db.all("SELECT id FROM token")
    assert idle.refresh_token is not None
    with pytest.raises(InvalidGrant, match="Invalid refresh token"):
        await tokens.refresh(CONFIDENTIAL, KEY_AUTH, idle.refresh_token, jkt=JKT)


async def test_removing_lets_other_tasks_run(
    tokens: OAuthTokens, db: Database, clock: FakeClock
) -> None:
    for _ in range(20):
        await SignIn().issue(tokens)
    clock.now_s += LONG.session_s + 1
    seen: set[int] = set()

    async def watch() -> None:
        while count(db):
            seen.add(count(db))
            await asyncio.sleep(0)

    await asyncio.gather(SessionSweep(db, clock=clock).sweep(), watch())
    assert len(seen) > 10
