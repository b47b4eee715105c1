"""com.atproto.admin: looking at invite codes, and taking them back."""

from __future__ import annotations

from typing import Any

import pytest

from pds.accounts.invite_codes import InviteCode
from repo.syntax import Did
from tests.pds.api.signups import create, make_invite_codes
from tests.pds.conftest import Account, Pds, Reply

ADMIN = "com.atproto.admin"
NOBODY = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
DAY_MS = 24 * 60 * 60 * 1000


async def list_codes(pds: Pds, **params: Any) -> Reply:
    return await pds.get(f"{ADMIN}.getInviteCodes", pds.admin, **params)


async def read_pages(pds: Pds, **params: Any) -> list[str]:
    """Every code, page by page."""
    codes: list[str] = []
    page = (await list_codes(pds, **params)).json
    while page["codes"]:
        codes += [code["code"] for code in page["codes"]]
        page = (await list_codes(pds, cursor=page["cursor"], **params)).json
    assert "cursor" not in page
    return codes


async def change(pds: Pds, method: str, **body: Any) -> Reply:
    return await pds.post(f"{ADMIN}.{method}", body, pds.admin)


def codes_of(pds: Pds, account: str) -> list[InviteCode]:
    return pds.ctx.accounts.invites.of_account(account)


@pytest.fixture
async def codes(pds: Pds) -> list[str]:
    """Four codes in the order in which they were made, two of them at once."""
    at: dict[str, str] = {}
    for day, count in ((1, 1), (2, 2), (3, 1)):
        for code in await make_invite_codes(pds, count, uses=5):
            at[code] = f"2026-01-0{day}T00:00:00.000Z"
    db = pds.ctx.accounts.db
    with db.transaction():
        for code, time in at.items():
            db.run("UPDATE invite_code SET createdAt = ? WHERE code = ?", (time, code))
    return sorted(at, key=lambda code: (at[code], code))


async def test_codes_are_listed_newest_first(pds: Pds, codes: list[str]) -> None:
    await create(pds, inviteCode=codes[0])
    for limit in (1, 3, 500):
        assert await read_pages(pds, limit=limit) == codes[::-1]
    listed = (await list_codes(pds)).json["codes"]
    (use,) = listed[-1].pop("uses")
    assert set(use) == {"usedBy", "usedAt"}
    assert listed[-1] == {
        "code": codes[0],
        "available": 5,
        "disabled": False,
        "forAccount": "admin",
        "createdBy": "admin",
        "createdAt": "2026-01-01T00:00:00.000Z",
    }


async def test_codes_are_listed_most_used_first(pds: Pds, codes: list[str]) -> None:
    for number, code in enumerate((codes[1], codes[1], codes[0])):
        name = f"guest{number}"
        reply = await create(
            pds, inviteCode=code, handle=f"{name}.test", email=f"{name}@example.com"
        )
        assert reply.status == 200
    expected = [codes[1], codes[0], *sorted(codes[2:], reverse=True)]
    for limit in (1, 2, 100):
        assert await read_pages(pds, sort="usage", limit=limit) == expected
    first = (await list_codes(pds, sort="usage", limit=1)).json
    assert first["cursor"] == f"2::{codes[1]}"


async def test_the_cursor_of_the_newest_is_a_time_and_a_code(pds: Pds, codes: list[str]) -> None:
    first = (await list_codes(pds, sort="recent", limit=1)).json
    assert first["cursor"] == f"1767398400000::{codes[3]}"


async def test_a_server_without_codes_lists_none(pds: Pds) -> None:
    assert (await list_codes(pds)).json == {"codes": []}


@pytest.mark.parametrize("sort", ["recent", "usage"])
@pytest.mark.parametrize(
    "cursor", ["x", "1", "1::", "::code", "x::code", "-1::code", "1::a::b", "9" * 16 + "::a"]
)
async def test_a_cursor_that_was_never_given_out_is_refused(
    pds: Pds, sort: str, cursor: str
) -> None:
    reply = await list_codes(pds, sort=sort, cursor=cursor)
    assert (reply.status, reply.json) == (
        400,
        {"error": "InvalidRequest", "message": "Malformed cursor"},
    )


async def test_other_orders_and_sizes_are_refused(pds: Pds) -> None:
    other = await list_codes(pds, sort="oldest")
    assert other.json == {"error": "InvalidRequest", "message": "unknown sort method: oldest"}
    for limit in (0, 501):
        assert (await list_codes(pds, limit=limit)).error == (400, "InvalidRequest")


async def test_disabled_codes_make_no_accounts(
    pds: Pds, alice: Account, bob: Account, codes: list[str]
) -> None:
    alices = await make_invite_codes(pds, 2, account=alice.did)
    bobs = await make_invite_codes(pds, 1, account=bob.did)
    reply = await change(
        pds, "disableInviteCodes", codes=[codes[0], "unknown"], accounts=[alice.did, NOBODY]
    )
    assert (reply.status, reply.body) == (200, b"")
    for code in (codes[0], *alices):
        refused = await create(pds, inviteCode=code)
        assert refused.error == (400, "InvalidInviteCode")
    for number, code in enumerate((codes[1], *bobs)):
        name = f"guest{number}"
        made = await create(
            pds, inviteCode=code, handle=f"{name}.test", email=f"{name}@example.com"
        )
        assert made.status == 200
    disabled = [code["code"] for code in (await list_codes(pds)).json["codes"] if code["disabled"]]
    assert sorted(disabled) == sorted((codes[0], *alices))


async def test_the_administrator_s_codes_are_not_disabled_as_a_whole(
    pds: Pds, codes: list[str]
) -> None:
    reply = await change(pds, "disableInviteCodes", codes=codes, accounts=["admin"])
    assert (reply.status, reply.json) == (
        400,
        {"error": "InvalidRequest", "message": "cannot disable admin invite codes"},
    )
    assert not any(code.disabled for code in codes_of(pds, "admin"))
    assert (await change(pds, "disableInviteCodes")).status == 200


async def test_an_account_s_new_codes_start_disabled_until_it_is_allowed_again(
    pds: Pds, alice: Account
) -> None:
    (given,) = await make_invite_codes(pds, 1, account=alice.did)
    db = pds.ctx.accounts.db
    with db.transaction():
        db.run("UPDATE actor SET createdAt = '2026-01-01T00:00:00.000Z'")

    async def earn() -> None:
        await pds.ctx.accounts.invites.create_earned(Did(alice.did), interval_ms=DAY_MS, epoch_ms=0)

    reply = await change(pds, "disableAccountInvites", account=alice.did, note="sells them")
    assert (reply.status, reply.body) == (200, b"")
    info = await pds.get(f"{ADMIN}.getAccountInfo", pds.admin, did=alice.did)
    assert info.json["invitesDisabled"] is True
    await earn()
    codes = codes_of(pds, alice.did)
    assert [code.code for code in codes if not code.disabled] == [given]
    assert len(codes) == 6
    assert (await change(pds, "enableAccountInvites", account=alice.did)).status == 200
    await earn()
    assert sum(not code.disabled for code in codes_of(pds, alice.did)) == 6


@pytest.mark.parametrize("method", ["disableAccountInvites", "enableAccountInvites"])
async def test_only_an_account_that_can_log_in_earns_codes_or_not(pds: Pds, method: str) -> None:
    assert (await change(pds, method, account=NOBODY)).error == (400, "AccountNotFound")
    assert (await change(pds, method, account="alice.test")).error == (400, "InvalidRequest")
    created = await create(pds, password=None)
    assert created.status == 200
    reply = await change(pds, method, account=created.json["did"])
    assert reply.error == (400, "InvalidRequest")
    assert "no email address and password" in reply.json["message"]
