"""Wrong passwords of the administrator, on a server that has no other limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from pds.rate_limits import admin_guesses
from pds.rate_limits.admin_guesses import AdminGuesses
from pds.rate_limits.memory import MemoryStore
from tests.pds.conftest import Account, Pds, Reply, basic_auth
from tests.pds.rate_limits.conftest import Clock, from_ip

WRONG = basic_auth("admin", "wrong")
LIMIT = 3


@pytest.fixture
def pds_environ() -> dict[str, str]:
    return {}


@pytest.fixture(autouse=True)
def _few_guesses(pds: Pds, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin_guesses, "WRONG", replace(admin_guesses.WRONG, points=LIMIT))
    store = MemoryStore(now_ms=clock.now_ms)
    pds.ctx.admin_guesses = AdminGuesses(pds.ctx.client_addresses, store)


async def ask(pds: Pds, headers: Mapping[str, str]) -> Reply:
    return await pds.get("com.atproto.admin.getInviteCodes", headers)


async def guess(pds: Pds, times: int, headers: Mapping[str, str]) -> list[int]:
    return [(await ask(pds, {**WRONG, **headers})).status for _ in range(times)]


async def test_after_too_many_wrong_passwords_an_address_is_refused_for_a_while(
    pds: Pds, clock: Clock
) -> None:
    here, there = from_ip("203.0.113.1"), from_ip("203.0.113.2")
    assert await guess(pds, LIMIT + 2, here) == [401] * LIMIT + [429] * 2
    # Otherwise the answers would still tell which password is right.
    refused = await ask(pds, {**pds.admin, **here})
    assert refused.error == (429, "RateLimitExceeded")
    assert refused.headers["Retry-After"] == "300"
    assert (await ask(pds, {**pds.admin, **there})).status == 200
    clock.advance(300)
    assert (await ask(pds, {**pds.admin, **here})).status == 200


async def test_on_the_machine_itself_the_right_password_always_passes(pds: Pds) -> None:
    assert await guess(pds, LIMIT + 2, {}) == [401] * LIMIT + [429] * 2
    assert (await ask(pds, pds.admin)).status == 200
    # A proxy on the machine says for whom it asks.
    through_proxy = {**pds.admin, **from_ip("127.0.0.1")}
    assert (await ask(pds, through_proxy)).status == 429


async def test_right_passwords_do_not_count(pds: Pds) -> None:
    here = from_ip("203.0.113.1")
    for _ in range(LIMIT + 2):
        assert (await ask(pds, {**pds.admin, **here})).status == 200


@pytest.mark.parametrize(
    "path",
    [
        "/xrpc/com.atproto.admin.getInviteCodes",
        "/xrpc/com.atproto.sync.getRepo?did={did}",
        "/_holdfast/usage",
        "/_holdfast/storage",
    ],
)
async def test_every_route_for_the_administrator_counts(
    pds: Pds, alice: Account, path: str
) -> None:
    path, headers = path.format(did=alice.did), {**WRONG, **from_ip("203.0.113.1")}
    replies = [await pds.request("GET", path, headers=headers) for _ in range(LIMIT + 1)]
    assert [reply.status for reply in replies] == [401] * LIMIT + [429]


async def test_no_password_is_no_guess(pds: Pds) -> None:
    for _ in range(LIMIT + 2):
        assert (await ask(pds, from_ip("203.0.113.1"))).status == 401
