"""The sweep: sessions that are over go, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from structlog.testing import capture_logs

from database.connection import Database
from database.errors import DatabaseBusy
from pds.oauth.tokens.lifetimes import LONG
from pds.oauth.tokens.sweep import SessionSweep
from pds.oauth.tokens.tokens import OAuthTokens
from tests.pds.oauth.conftest import FakeClock
from tests.pds.oauth.tokens.conftest import SignIn


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not is_so():  # noqa: ASYNC110 (of another task)
            await asyncio.sleep(0)


async def test_a_sweep_removes_sessions_again_and_again(
    tokens: OAuthTokens, db: Database, clock: FakeClock
) -> None:
    sweep = SessionSweep(tokens, first_s=0, every_s=0)
    with capture_logs() as logs:
        sweep.start()
        for _ in range(2):
            await SignIn().issue(tokens)
            clock.now_s += LONG.session_s + 1
            await until(lambda: db.value("SELECT count(*) FROM token") == 0)
        await until(lambda: len(logs) == 2)
        await sweep.close()
    assert [log["sessions"] for log in logs] == [1, 1]


async def test_a_busy_database_does_not_end_the_sweep(
    tokens: OAuthTokens, db: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    await SignIn().issue(tokens)
    clock.now_s += LONG.session_s + 1
    remove, failures = tokens.remove_expired, [DatabaseBusy(db.path, "locked")]

    async def remove_later() -> int:
        if failures:
            raise failures.pop()
        return await remove()

    monkeypatch.setattr(tokens, "remove_expired", remove_later)
    sweep = SessionSweep(tokens, first_s=0, every_s=0)
    with capture_logs() as logs:
        sweep.start()
        await until(lambda: db.value("SELECT count(*) FROM token") == 0)
        await sweep.close()
        await sweep.close()
    assert logs[0]["event"] == "OAuth sessions were not swept"
