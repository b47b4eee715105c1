"""Guessing gains nothing from a server that has several processes."""

from __future__ import annotations

import pytest

from pds.rate_limits.admin_guesses import WRONG
from tests.pds.conftest import basic_auth
from tests.pds.peers.conftest import ManyProcesses


@pytest.fixture
def pds_environ() -> dict[str, str]:
    return {"PDS_RATE_LIMITS_ENABLED": "true", "PDS_TRUSTED_PROXIES": "127.0.0.1"}


async def test_logins_are_counted_over_all_workers(many: ManyProcesses) -> None:
    body = {"identifier": "nobody.test", "password": "wrong"}
    replies = [
        await many.workers[n % 2].post("com.atproto.server.createSession", body) for n in range(31)
    ]
    assert [reply.status for reply in replies] == [401] * 30 + [429]


async def test_admin_passwords_are_counted_over_all_workers(many: ManyProcesses) -> None:
    stranger = {"X-Forwarded-For": "203.0.113.9"}
    wrong, right = ({**basic_auth("admin", word), **stranger} for word in ("wrong", "admin-pass"))
    nsid = "com.atproto.admin.getInviteCodes"
    assert (await many.workers[0].get(nsid, right)).status == 200
    for n in range(WRONG.points):
        reply = await many.workers[n % 2].get(nsid, wrong)
        assert reply.status == 401
    assert [(await worker.get(nsid, right)).status for worker in many.workers] == [429, 429]
