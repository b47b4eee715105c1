"""com.atproto.temp.checkSignupQueue: nobody waits for an account here."""

from __future__ import annotations

from pds.accounts.scopes import SessionScope
from repo.syntax import Did
from tests.pds.conftest import Account, Pds

CHECK = "com.atproto.temp.checkSignupQueue"


async def test_every_account_is_let_in(pds: Pds, alice: Account) -> None:
    for scope in (SessionScope.ACCESS, SessionScope.APP_PASS, SessionScope.SIGNUP_QUEUED):
        token = pds.ctx.session_tokens.create_access(Did(alice.did), scope)
        reply = await pds.get(CHECK, {"Authorization": f"Bearer {token}"})
        assert (reply.status, reply.json) == (200, {"activated": True})


async def test_it_is_told_to_accounts_alone(pds: Pds, alice: Account) -> None:
    assert (await pds.get(CHECK)).error == (401, "AuthMissing")
    assert (await pds.get(CHECK, alice.refresh_auth)).error == (400, "InvalidToken")
    token = pds.ctx.session_tokens.create_access(Did(alice.did), SessionScope.TAKENDOWN)
    reply = await pds.get(CHECK, {"Authorization": f"Bearer {token}"})
    assert reply.json == {"error": "InvalidToken", "message": "Bad token scope"}
