"""Invite codes: using them up, earning them, listing and disabling them."""

from __future__ import annotations

import pytest

from database.timestamps import iso_of
from pds.accounts.accounts import Accounts
from pds.accounts.errors import (
    AccountNotFound,
    AdminInvitesNotDisabled,
    InvalidInviteCode,
)
from pds.accounts.invite_allowance import earned_codes_due
from pds.accounts.invite_codes import ADMIN, InvalidInviteCursor, InviteCode, InviteSort, InviteUse
from pds.accounts.sessions import Session
from repo.syntax import Did
from tests.pds.accounts.conftest import ALICE, BOB, START_S, FakeClock, MakeAccount

DAY_MS = 86_400_000


async def one_code(accounts: Accounts, *, uses: int = 1, account: str = ADMIN) -> str:
    codes = await accounts.invites.create([account], count=1, uses=uses)
    return codes[account][0]


async def test_a_code_makes_as_many_accounts_as_it_is_for(
    accounts: Accounts, make_account: MakeAccount
) -> None:
    code = await one_code(accounts, uses=2)
    await make_account(invite_code=code)
    await make_account(BOB, "bob.test", invite_code=code)
    with pytest.raises(InvalidInviteCode):
        await make_account(Did("did:plc:carol"), "carol.test", invite_code=code)
    (listed,) = accounts.invites.of_account(ADMIN)
    assert (listed.available, listed.used_up) == (2, True)
    assert {use.used_by for use in listed.uses} == {ALICE, BOB}
    assert accounts.invites.used_by([ALICE, BOB, "did:plc:carol"]) == {ALICE: listed, BOB: listed}


async def test_a_code_is_not_available_when_unknown_disabled_or_of_an_account_taken_down(
    accounts: Accounts, make_account: MakeAccount
) -> None:
    await make_account()
    disabled = await one_code(accounts)
    await accounts.invites.disable([disabled], [])
    of_alice = await one_code(accounts, account=ALICE)
    accounts.invites.ensure_available(of_alice)
    await accounts.states.takedown(ALICE)
    for code in ("unknown", disabled, of_alice):
        with pytest.raises(InvalidInviteCode, match="Provided invite code not available"):
            accounts.invites.ensure_available(code)


async def test_all_codes_of_an_account_are_disabled_at_once_but_not_the_admins(
    accounts: Accounts,
) -> None:
    created = await accounts.invites.create([ALICE, BOB], count=2, uses=1)
    assert {did: len(codes) for did, codes in created.items()} == {ALICE: 2, BOB: 2}
    await accounts.invites.disable([created[BOB][0]], [ALICE])
    by_did = accounts.invites.of_accounts([ALICE, BOB])
    assert [code.disabled for code in by_did[ALICE]] == [True, True]
    assert sorted(code.disabled for code in by_did[BOB]) == [False, True]
    with pytest.raises(AdminInvitesNotDisabled, match="cannot disable admin invite codes"):
        await accounts.invites.disable([], [ADMIN])


async def test_an_account_lists_its_enabled_codes_and_maybe_the_used_ones(
    accounts: Accounts, alice: Session, make_account: MakeAccount
) -> None:
    used, unused, disabled = (await accounts.invites.create([ALICE], count=3, uses=1))[ALICE]
    await make_account(BOB, "bob.test", invite_code=used)
    await accounts.invites.disable([disabled], [])

    def listed(include_used: bool) -> set[str]:
        codes = accounts.invites.list_enabled(ALICE, include_used=include_used)
        return {code.code for code in codes}

    assert listed(include_used=True) == {used, unused}
    assert listed(include_used=False) == {unused}


async def test_uses_are_listed_newest_first(
    accounts: Accounts, make_account: MakeAccount, clock: FakeClock
) -> None:
    code = await one_code(accounts, uses=5)
    await make_account(invite_code=code)
    clock.now_s += 1
    await make_account(BOB, "bob.test", invite_code=code)
    (listed,) = accounts.invites.of_account(ADMIN)
    assert listed.uses == (
        InviteUse(BOB, iso_of(START_S + 1)),
        InviteUse(ALICE, iso_of(START_S)),
    )


@pytest.mark.parametrize("sort", ["recent", "usage"])
async def test_all_codes_are_paged_without_gaps(
    accounts: Accounts, make_account: MakeAccount, clock: FakeClock, sort: InviteSort
) -> None:
    for _ in range(3):
        await accounts.invites.create([ADMIN, ALICE], count=2, uses=1)
        clock.now_s += 0.001
    popular = await one_code(accounts, uses=9)
    await make_account(invite_code=popular)
    seen: list[str] = []
    cursor = None
    while True:
        page, cursor = accounts.invites.page(sort, limit=4, cursor=cursor)
        if not page:
            break
        seen += [code.code for code in page]
    assert len(seen) == len(set(seen)) == 13
    assert seen[0] == popular
    assert cursor is None


@pytest.mark.parametrize("cursor", ["", "x", "12", "::", "x::code", "12::", "9" * 30 + "::code"])
def test_a_cursor_that_was_not_given_out_is_refused(accounts: Accounts, cursor: str) -> None:
    with pytest.raises(InvalidInviteCursor):
        accounts.invites.page("recent", limit=1, cursor=cursor)


async def earn(accounts: Accounts) -> int:
    before = len(accounts.invites.of_account(ALICE))
    await accounts.invites.create_earned(ALICE, interval_ms=DAY_MS, epoch_ms=0)
    return len(accounts.invites.of_account(ALICE)) - before


async def test_a_user_earns_a_code_for_each_interval_up_to_five_unused(
    accounts: Accounts, alice: Session, clock: FakeClock
) -> None:
    assert await earn(accounts) == 0
    clock.now_s += 2.5 * 86_400
    assert await earn(accounts) == 2
    assert await earn(accounts) == 0
    clock.now_s += 30 * 86_400
    assert await earn(accounts) == 3
    (code, *_) = accounts.invites.of_account(ALICE)
    assert (code.created_by, code.for_account, code.available) == (ALICE, ALICE, 1)


async def test_codes_of_an_account_with_disabled_invites_start_disabled(
    accounts: Accounts, alice: Session, clock: FakeClock
) -> None:
    await accounts.invites.set_disabled(ALICE, disabled=True)
    assert accounts.get_account(ALICE).invites_disabled
    clock.now_s += 86_400
    assert await earn(accounts) == 1
    assert accounts.invites.of_account(ALICE)[0].disabled
    await accounts.invites.set_disabled(ALICE, disabled=False)
    assert not accounts.get_account(ALICE).invites_disabled


async def test_a_deactivated_account_earns_nothing(accounts: Accounts, alice: Session) -> None:
    await accounts.states.deactivate(ALICE)
    with pytest.raises(AccountNotFound):
        await earn(accounts)


def code_made(
    at_ms: int, *, by: str = ALICE, disabled: bool = False, used: bool = False
) -> InviteCode:
    uses = (InviteUse(BOB, iso_of(at_ms / 1000)),) if used else ()
    return InviteCode("code", 1, disabled, ALICE, by, iso_of(at_ms / 1000), uses)


@pytest.mark.parametrize(
    ("codes", "member_since", "epoch", "due"),
    [
        ([], 0, 0, 5),
        ([], 97, 0, 3),
        ([], 90, 96, 4),
        ([], 90, 100, 0),
        ([], 100, 0, 0),
        ([code_made(98 * DAY_MS)], 97, 0, 2),
        ([code_made(98 * DAY_MS, used=True)], 97, 0, 2),
        ([code_made(98 * DAY_MS, by=ADMIN)], 97, 0, 3),
        ([code_made(50 * DAY_MS, used=True)] * 4, 50, 96, 4),
        ([code_made(50 * DAY_MS)] * 4, 50, 96, 1),
        ([code_made(50 * DAY_MS, disabled=True)] * 4, 50, 96, 4),
        ([code_made(98 * DAY_MS)] * 7, 97, 0, 0),
    ],
)
def test_codes_due_follow_from_membership_epoch_and_codes_had(
    codes: list[InviteCode], member_since: int, epoch: int, due: int
) -> None:
    assert due == earned_codes_due(
        codes,
        member_since_ms=member_since * DAY_MS,
        now_ms=100 * DAY_MS,
        interval_ms=DAY_MS,
        epoch_ms=epoch * DAY_MS,
    )
