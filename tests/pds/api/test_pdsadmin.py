"""The calls of `pdsadmin`, the reference's tool for operators, in the order it makes them."""

from __future__ import annotations

import secrets
import time
from typing import Any

import pytest

from tests.pds.conftest import Account, Pds

ADMIN = "com.atproto.admin"
SERVER = "com.atproto.server"


@pytest.fixture
def pds_environ() -> dict[str, str]:
    """Its installer makes servers where invites are required."""
    return {"PDS_INVITE_REQUIRED": "true"}


async def create_invite_code(pds: Pds) -> str:
    """`pdsadmin create-invite-code`"""
    made = await pds.post(f"{SERVER}.createInviteCode", {"useCount": 1}, pds.admin)
    return str(made.json["code"])


def signup(name: str, code: str) -> dict[str, str]:
    """What somebody signs up with."""
    return {
        "email": f"{name}@example.com",
        "handle": f"{name}.test",
        "password": secrets.token_urlsafe(18),
        "inviteCode": code,
    }


async def create_account(pds: Pds, name: str) -> Account:
    """`pdsadmin account create EMAIL HANDLE`"""
    body = signup(name, await create_invite_code(pds))
    answer = (await pds.post(f"{SERVER}.createAccount", body)).json
    assert answer["did"].startswith("did:")
    return Account(
        answer["did"],
        body["handle"],
        body["email"],
        body["password"],
        answer["accessJwt"],
        answer["refreshJwt"],
    )


async def list_accounts(pds: Pds) -> list[tuple[str, str, str]]:
    """`pdsadmin account list`: handle, email, DID of each."""
    repos = (await pds.get("com.atproto.sync.listRepos", limit=100)).json["repos"]
    rows = []
    for repo in repos:
        one = (await pds.get(f"{ADMIN}.getAccountInfo", pds.admin, did=repo["did"])).json
        rows.append((one["handle"], one["email"], one["did"]))
    return rows


async def set_takedown(pds: Pds, did: str, takedown: dict[str, Any]) -> None:
    """`pdsadmin account takedown DID`, `pdsadmin account untakedown DID`"""
    subject = {"$type": "com.atproto.admin.defs#repoRef", "did": did}
    body = {"subject": subject, "takedown": takedown}
    reply = await pds.post(f"{ADMIN}.updateSubjectStatus", body, pds.admin)
    assert reply.status == 200, reply.body


async def login(pds: Pds, account: Account, password: str) -> int:
    body = {"identifier": account.handle, "password": password}
    return (await pds.post(f"{SERVER}.createSession", body)).status


async def test_accounts_are_created_and_listed(pds: Pds) -> None:
    made = [await create_account(pds, name) for name in ("alice", "bob")]
    assert await list_accounts(pds) == [(one.handle, one.email, one.did) for one in made]
    assert await login(pds, made[0], made[0].password) == 200


async def test_an_account_that_cannot_be_made_is_explained(pds: Pds) -> None:
    await create_account(pds, "alice")
    body = {**signup("other", await create_invite_code(pds)), "handle": "alice.test"}
    answer = (await pds.post(f"{SERVER}.createAccount", body)).json
    assert not answer.get("did", "").startswith("did:")
    assert answer["message"] == "Handle already taken: alice.test"


async def test_an_account_is_taken_down_and_put_back(pds: Pds) -> None:
    alice = await create_account(pds, "alice")
    await set_takedown(pds, alice.did, {"applied": True, "ref": str(int(time.time()))})
    assert await login(pds, alice, alice.password) == 401
    assert await list_accounts(pds) == [(alice.handle, alice.email, alice.did)]
    await set_takedown(pds, alice.did, {"applied": False})
    assert await login(pds, alice, alice.password) == 200


async def test_a_password_is_reset(pds: Pds) -> None:
    alice = await create_account(pds, "alice")
    body = {"did": alice.did, "password": secrets.token_urlsafe(18)}
    reply = await pds.post(f"{ADMIN}.updateAccountPassword", body, pds.admin)
    assert (reply.status, reply.body) == (200, b"")
    assert await login(pds, alice, body["password"]) == 200


async def test_an_account_is_deleted(pds: Pds) -> None:
    alice, bob = await create_account(pds, "alice"), await create_account(pds, "bob")
    reply = await pds.post(f"{ADMIN}.deleteAccount", {"did": alice.did}, pds.admin)
    assert (reply.status, reply.body) == (200, b"")
    assert await list_accounts(pds) == [(bob.handle, bob.email, bob.did)]


async def test_an_invite_code_is_made_for_whoever_gets_it(pds: Pds) -> None:
    code = await create_invite_code(pds)
    assert (await pds.post(f"{SERVER}.createAccount", signup("carol", code))).status == 200
    again = await pds.post(f"{SERVER}.createAccount", signup("dan", code))
    assert again.error == (400, "InvalidInviteCode")
