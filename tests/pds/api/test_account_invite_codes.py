"""com.atproto.server.getAccountInviteCodes: codes that users were given, and those they earn."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.pds.api.mailbox import let_time_pass, login
from tests.pds.api.moderation import make_inactive
from tests.pds.api.signups import make_invite_codes
from tests.pds.conftest import Account, Pds, start_pds

GET = "com.atproto.server.getAccountInviteCodes"
DAY_S = 24 * 60 * 60


@pytest.fixture
def pds_environ() -> dict[str, str]:
    """A code a day; accounts of these tests are made past the endpoint that wants a code."""
    return {"PDS_INVITE_REQUIRED": "true", "PDS_INVITE_INTERVAL": str(DAY_S * 1000)}


@pytest.fixture
async def alice(pds: Pds) -> Account:
    return await join(pds, "alice")


async def join(pds: Pds, name: str, code: str | None = None) -> Account:
    """Make an account, by default with a code of the administrator."""
    if code is None:
        (code,) = await make_invite_codes(pds, 1)
    return await pds.create_account(name, inviteCode=code)


async def codes(pds: Pds, account: Account, **params: str) -> list[dict[str, Any]]:
    reply = await pds.get(GET, account.auth, **params)
    assert reply.status == 200, reply.body
    found: list[dict[str, Any]] = reply.json["codes"]
    return found


async def test_a_code_is_earned_with_each_interval(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await codes(pds, alice) == []
    let_time_pass(pds, monkeypatch, 2 * DAY_S + 60)
    first = await codes(pds, alice)
    assert len(first) == 2
    assert set(first[0]) == {
        *("code", "available", "disabled", "forAccount", "createdBy", "createdAt", "uses")
    }
    assert first[0]["code"].startswith("localhost-")
    for code in first:
        assert (code["forAccount"], code["createdBy"]) == (alice.did, alice.did)
        assert (code["available"], code["disabled"], code["uses"]) == (1, False, [])
    assert await codes(pds, alice) == first
    let_time_pass(pds, monkeypatch, DAY_S)
    assert len(await codes(pds, alice)) == 3


async def test_no_more_than_five_wait_to_be_used(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_time_pass(pds, monkeypatch, 30 * DAY_S)
    five = await codes(pds, alice)
    assert len(five) == 5
    await join(pds, "bob", five[0]["code"])
    after = await codes(pds, alice)
    assert len(after) == 6
    (use,) = next(code["uses"] for code in after if code["code"] == five[0]["code"])
    assert set(use) == {"usedBy", "usedAt"}


async def test_used_codes_can_be_left_out_and_new_ones_not_made(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_time_pass(pds, monkeypatch, DAY_S + 60)
    assert await codes(pds, alice, createAvailable="false") == []
    (code,) = await codes(pds, alice)
    await join(pds, "bob", code["code"])
    assert [one["code"] for one in await codes(pds, alice)] == [code["code"]]
    assert await codes(pds, alice, includeUsed="false") == []


async def test_requests_at_once_make_no_more_than_is_due(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The reference answers DuplicateCreate to some of them; here each sees the same codes."""
    let_time_pass(pds, monkeypatch, 3 * DAY_S + 60)
    seen = await asyncio.gather(*(codes(pds, alice) for _ in range(5)))
    assert all(one == seen[0] for one in seen)
    assert len(seen[0]) == 3


async def test_gifts_of_the_administrator_count_for_nothing(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"useCount": 1, "codeCount": 5, "forAccounts": [alice.did]}
    await pds.post("com.atproto.server.createInviteCodes", body, pds.admin)
    let_time_pass(pds, monkeypatch, DAY_S + 60)
    assert [code["createdBy"] for code in await codes(pds, alice)].count(alice.did) == 1


async def test_who_may_not_invite_gets_codes_that_are_disabled_and_not_shown(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    did = pds.ctx.accounts.get_account(alice.did).did
    await pds.ctx.accounts.invites.set_disabled(did, disabled=True)
    let_time_pass(pds, monkeypatch, DAY_S + 60)
    assert await codes(pds, alice) == []
    assert pds.ctx.accounts.db.all(
        "SELECT disabled FROM invite_code WHERE forAccount = ?", (did,)
    ) == [(1,)]


@pytest.mark.parametrize(
    ("environ", "earned"),
    [
        ({"PDS_INVITE_EPOCH": str(4_000_000_000_000)}, 0),
        ({"PDS_INVITE_EPOCH": "1000"}, 2),
        ({"PDS_INVITE_REQUIRED": "false"}, 0),
        ({"PDS_INVITE_INTERVAL": ""}, 0),
        ({"PDS_INVITE_INTERVAL": str(DAY_S * 2000)}, 1),
    ],
)
async def test_settings_say_how_codes_are_earned(
    pds_environ: dict[str, str],
    environ: dict[str, str],
    earned: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with AsyncExitStack() as stack:
        pds = await start_pds(stack, tmp_path, pds_environ | environ)
        alice = await join(pds, "alice")
        let_time_pass(pds, monkeypatch, 2 * DAY_S + 60)
        assert len(await codes(pds, alice)) == earned


async def test_only_the_account_itself_sees_its_codes(pds: Pds, alice: Account) -> None:
    app = await pds.post("com.atproto.server.createAppPassword", {"name": "x"}, alice.auth)
    session = await login(pds, alice, app.json["password"])
    auth = {"Authorization": f"Bearer {session.json['accessJwt']}"}
    assert (await pds.get(GET, auth)).error == (400, "InvalidToken")
    assert (await pds.get(GET)).error == (401, "AuthMissing")
    await make_inactive(pds, alice, "deactivated")
    reply = await pds.get(GET, alice.auth)
    assert reply.json == {"error": "NotFound", "message": "Account not found"}
    await make_inactive(pds, alice, "takendown")
    assert (await pds.get(GET, alice.auth)).error == (401, "AccountTakedown")
