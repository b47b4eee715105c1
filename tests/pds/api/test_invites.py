"""com.atproto.server: making invite codes. How they are used is tested with createAccount."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.pds.conftest import Account, Pds, basic_auth

ONE = "com.atproto.server.createInviteCode"
MANY = "com.atproto.server.createInviteCodes"
CODE = re.compile(r"localhost-[a-z2-7]{5}-[a-z2-7]{5}")


def stored(pds: Pds) -> list[tuple[Any, ...]]:
    """What is known of each code: uses, for whom, by whom, whether it is disabled."""
    return pds.ctx.accounts.db.all(
        "SELECT availableUses, forAccount, createdBy, disabled FROM invite_code ORDER BY forAccount"
    )


async def test_one_code_is_the_admin_s_unless_said_otherwise(pds: Pds, alice: Account) -> None:
    for body in ({"useCount": 3}, {"useCount": 1, "forAccount": alice.did}):
        reply = await pds.post(ONE, body, pds.admin)
        assert reply.status == 200
        assert set(reply.json) == {"code"}
        assert CODE.fullmatch(reply.json["code"])
    assert stored(pds) == [(3, "admin", "admin", 0), (1, alice.did, "admin", 0)]


async def test_many_codes_are_made_for_each_account(pds: Pds, alice: Account, bob: Account) -> None:
    dids = [alice.did, bob.did]
    body = {"useCount": 1, "codeCount": 2, "forAccounts": dids}
    reply = await pds.post(MANY, body, pds.admin)
    assert [entry["account"] for entry in reply.json["codes"]] == dids
    codes = [code for entry in reply.json["codes"] for code in entry["codes"]]
    assert len(set(codes)) == 4
    assert all(CODE.fullmatch(code) for code in codes)


async def test_many_codes_default_to_one_of_the_admin(pds: Pds) -> None:
    reply = await pds.post(MANY, {"useCount": 5}, pds.admin)
    (entry,) = reply.json["codes"]
    assert entry["account"] == "admin"
    assert len(entry["codes"]) == 1
    assert stored(pds) == [(5, "admin", "admin", 0)]


@pytest.mark.parametrize("nsid", [ONE, MANY])
async def test_only_the_administrator_makes_codes(pds: Pds, alice: Account, nsid: str) -> None:
    for headers in (None, alice.auth, basic_auth("admin", "wrong"), basic_auth("root", "x")):
        reply = await pds.post(nsid, {"useCount": 1}, headers)
        assert reply.json == {
            "error": "AuthenticationRequired",
            "message": "Authentication Required",
        }
        assert reply.status == 401
        assert "WWW-Authenticate" not in reply.headers
    assert stored(pds) == []


async def test_a_code_needs_a_number_of_uses(pds: Pds) -> None:
    reply = await pds.post(ONE, {}, pds.admin)
    assert reply.json["message"] == 'Missing required key "useCount" at $'
