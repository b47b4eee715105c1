"""Turns at hashing passwords: who takes them for what, and what becomes of those who find none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from pds.accounts.email_tokens import EmailTokenPurpose
from pds.accounts.hashing import OPERATOR, Asker, PasswordHasher
from pds.fairness import presence
from repo.syntax import Did
from tests.pds.conftest import ADMIN_PASSWORD, Account, Pds, basic_auth
from tests.pds.rate_limits.conftest import from_ip

SERVER = "com.atproto.server."
ADDRESS = "203.0.113.9"
DEADLINE_S = 10.0


@asynccontextmanager
async def all_turns_taken(pds: Pds) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for who in "ab":
            turn = pds.ctx.accounts._hasher.turn(Asker(who), about=who)
            await stack.enter_async_context(turn)
        yield


async def waiting(pds: Pds, number: int) -> None:
    """Return once so many wait for a turn."""
    async with asyncio.timeout(DEADLINE_S):
        while pds.ctx.accounts._hasher._turns.waiting != number:  # noqa: ASYNC110 (no signal)
            await asyncio.sleep(0.005)


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Who has asked about whom."""
    noted: list[tuple[str, str]] = []
    turn = PasswordHasher.turn

    def note(hasher: PasswordHasher, asker: Asker, *, about: str) -> object:
        noted.append((asker.who, about))
        return turn(hasher, asker, about=about)

    monkeypatch.setattr(PasswordHasher, "turn", note)
    return noted


async def test_every_password_that_is_hashed_takes_a_turn_of_the_client_that_asks(
    pds: Pds, alice: Account, turns: list[tuple[str, str]]
) -> None:
    client = from_ip(ADDRESS)
    purpose = EmailTokenPurpose.RESET_PASSWORD
    token = await pds.ctx.accounts.email_tokens.create(Did(alice.did), purpose)
    new = {"handle": "carol.test", "email": "carol@example.com", "password": "x"}
    made = await pds.post(f"{SERVER}createAccount", new, client)
    name = {"name": "phone"}
    await pds.post(f"{SERVER}createAppPassword", name, {**client, **alice.auth})
    login = {"identifier": "ALICE.test", "password": "x"}
    await pds.post(f"{SERVER}createSession", login, client)
    reset = {"token": token, "password": "x"}
    await pds.post(f"{SERVER}resetPassword", reset, client)
    deletion = {"did": alice.did, "password": "wrong", "token": "x"}
    await pds.post(f"{SERVER}deleteAccount", deletion, client)
    update = {"did": alice.did, "password": "new"}
    admin = {**client, **basic_auth("admin", ADMIN_PASSWORD)}
    await pds.post("com.atproto.admin.updateAccountPassword", update, admin)
    assert turns == [
        (ADDRESS, made.json["did"]),
        (ADDRESS, alice.did),
        (ADDRESS, "alice.test"),
        (ADDRESS, alice.did),
        (ADDRESS, alice.did),
        (OPERATOR.who, alice.did),
    ]


async def test_who_finds_no_turn_is_told_when_to_come_back(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pds.ctx.accounts._hasher._turns, "_wait_s", 0.01)
    async with all_turns_taken(pds):
        for identifier in (alice.handle, "nobody.test"):
            login = {"identifier": identifier, "password": alice.password}
            reply = await pds.post(f"{SERVER}createSession", login)
            assert reply.error == (503, "NotEnoughResources")
            assert reply.headers["Retry-After"] == "2"


async def test_a_sign_up_that_finds_no_turn_leaves_nothing_behind(
    pds: Pds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pds.ctx.accounts._hasher._turns, "_wait_s", 0.01)
    new = {"handle": "carol.test", "email": "carol@example.com", "password": "x"}
    async with all_turns_taken(pds):
        assert (await pds.post(f"{SERVER}createAccount", new)).status == 503
    assert list(pds.ctx.settings.actors_directory.glob("??/did:*")) == []
    assert pds.ctx.sequencer.current_seq == 0
    assert (await pds.post(f"{SERVER}createAccount", new)).status == 200


async def test_a_login_whose_client_leaves_takes_no_turn(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(presence, "LOOK_S", 0.005)
    login = {"identifier": alice.handle, "password": alice.password}
    async with all_turns_taken(pds):
        leaving = asyncio.create_task(pds.post(f"{SERVER}createSession", login))
        await waiting(pds, 1)
        leaving.cancel()
        await waiting(pds, 0)
    assert (await pds.post(f"{SERVER}createSession", login)).status == 200
