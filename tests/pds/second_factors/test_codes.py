"""Codes: which are taken, how often, whose, for how long, and how many may be tried."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from database.connection import Database
from pds.second_factors.errors import (
    AddressNotConfirmed,
    AppExists,
    TooManyWrongCodes,
    WrongCode,
)
from pds.second_factors.guesses import ACCOUNT_LIMIT, DAY_S, HOUR_S, PLACE_LIMIT
from pds.second_factors.mailed_codes import HOURLY, LIFETIME_S, PAUSE_S
from pds.second_factors.second_factors import SecondFactors
from tests.pds.accounts.conftest import ALICE, BOB, FakeClock
from tests.pds.second_factors.conftest import (
    PLACE,
    MakeFactors,
    code_of,
    set_up_app,
    wrong_code,
)


async def outcome(factors: SecondFactors, code: str, place: str = PLACE) -> str:
    """What becomes of a code of Alice's."""
    try:
        await factors.check_code(ALICE, code, place=place)
    except (WrongCode, TooManyWrongCodes) as exc:
        return type(exc).__name__
    return "taken"


async def confirm_address(db: Database) -> None:
    with db.transaction():
        db.run("UPDATE account SET emailConfirmedAt = '2026-01-01T00:00:00.000Z'")


# --- Authenticator apps


@pytest.mark.parametrize(
    ("steps", "expected"),
    [(-2, "WrongCode"), (-1, "taken"), (0, "taken"), (1, "taken"), (2, "WrongCode")],
)
async def test_the_clock_of_a_telephone_may_be_half_a_minute_off(
    factors: SecondFactors, clock: FakeClock, steps: int, expected: str
) -> None:
    secret, _ = await set_up_app(factors, clock)
    clock.now_s += 60
    assert await outcome(factors, code_of(secret, clock, steps=steps)) == expected


async def test_a_code_is_taken_once_though_many_bring_it_at_once(
    factors: SecondFactors, clock: FakeClock
) -> None:
    secret, _ = await set_up_app(factors, clock)
    code = code_of(secret, clock)
    outcomes = await asyncio.gather(*(outcome(factors, code) for _ in range(5)))
    assert Counter(outcomes) == {"taken": 1, "WrongCode": 4}
    assert await outcome(factors, code_of(secret, clock, steps=-1)) == "WrongCode"


async def test_the_code_that_sets_an_app_up_does_not_sign_in(
    factors: SecondFactors, clock: FakeClock
) -> None:
    secret, _ = factors.apps.offer(ALICE)
    code = code_of(secret, clock)
    await factors.set_up_app(ALICE, secret, code)
    assert await outcome(factors, code) == "WrongCode"


async def test_an_app_is_set_up_only_by_a_right_code_and_only_once(
    factors: SecondFactors, clock: FakeClock
) -> None:
    secret, _ = factors.apps.offer(ALICE)
    with pytest.raises(WrongCode):
        await factors.set_up_app(ALICE, secret, wrong_code(secret, clock))
    assert not factors.needed(ALICE)
    await set_up_app(factors, clock)
    with pytest.raises(AppExists):
        await set_up_app(factors, clock)


def test_a_secret_on_offer_is_for_one_account(factors: SecondFactors) -> None:
    secret, sealed = factors.apps.offer(ALICE)
    assert factors.apps.offered(ALICE, sealed) == secret
    assert factors.apps.offered(BOB, sealed) is None
    for changed in (sealed[:-2], "00" + sealed[2:], "zz", "", "00"):
        assert factors.apps.offered(ALICE, changed) is None


async def test_the_database_does_not_tell_the_secret(
    factors: SecondFactors, clock: FakeClock, db: Database
) -> None:
    secret, codes = await set_up_app(factors, clock)
    (stored,) = db.all("SELECT * FROM holdfast_totp")
    hashes = db.all("SELECT * FROM holdfast_recovery_code")
    assert secret.encode() not in stored[1]
    assert not {code.encode() for code in codes} & {row[1] for row in hashes}


async def test_a_changed_secret_of_the_server_leaves_recovery_codes(
    factors: SecondFactors, clock: FakeClock, make_factors: MakeFactors
) -> None:
    secret, codes = await set_up_app(factors, clock)
    changed = make_factors(secret=b"x" * 32)
    assert await outcome(changed, code_of(secret, clock)) == "WrongCode"
    assert await outcome(changed, codes[0]) == "taken"


async def test_codes_of_another_account_are_wrong(factors: SecondFactors, clock: FakeClock) -> None:
    await set_up_app(factors, clock)
    bobs, codes = await set_up_app(factors, clock, BOB)
    for code in (code_of(bobs, clock), codes[0]):
        assert await outcome(factors, code) == "WrongCode"


# --- Recovery codes


async def test_each_recovery_code_is_taken_once_in_any_spelling(
    factors: SecondFactors, clock: FakeClock
) -> None:
    _, codes = await set_up_app(factors, clock)
    assert len(set(codes)) == 10
    outcomes = await asyncio.gather(*(outcome(factors, codes[0]) for _ in range(4)))
    assert Counter(outcomes) == {"taken": 1, "WrongCode": 3}
    assert await outcome(factors, codes[1].upper().replace("-", " ")) == "taken"
    assert factors.of(ALICE).recovery_codes == 8


async def test_new_recovery_codes_void_those_before(
    factors: SecondFactors, clock: FakeClock
) -> None:
    _, before = await set_up_app(factors, clock)
    after = await factors.renew_recovery_codes(ALICE)
    assert await outcome(factors, before[0]) == "WrongCode"
    assert await outcome(factors, after[0]) == "taken"


# --- Codes by mail


async def test_a_mailed_code_is_taken_once_within_a_quarter_of_an_hour(
    factors: SecondFactors, clock: FakeClock, db: Database
) -> None:
    await confirm_address(db)
    await factors.turn_on_mail(ALICE)
    code = await factors.mailed.create(ALICE)
    assert code is not None
    clock.now_s += LIFETIME_S
    outcomes = await asyncio.gather(*(outcome(factors, code.lower()) for _ in range(3)))
    assert Counter(outcomes) == {"taken": 1, "WrongCode": 2}
    late = await factors.mailed.create(ALICE)
    assert late is not None
    clock.now_s += LIFETIME_S + 1
    assert await outcome(factors, late) == "WrongCode"


async def test_mails_are_few_and_none_voids_the_one_before(
    factors: SecondFactors, clock: FakeClock, db: Database
) -> None:
    await confirm_address(db)
    await factors.turn_on_mail(ALICE)
    codes = []
    for _ in range(HOURLY + 3):
        codes.append(await factors.mailed.create(ALICE))
        assert await factors.mailed.create(ALICE) is None
        clock.now_s += PAUSE_S
    assert codes[HOURLY:] == [None] * 3
    # An attacker has used the mails up, but the owner reads them, and may use any.
    assert await outcome(factors, codes[0] or "") == "taken"
    assert await outcome(factors, codes[HOURLY - 1] or "") == "taken"
    assert await factors.mailed.create(ALICE) is None
    clock.now_s += HOUR_S
    assert await factors.mailed.create(ALICE) is not None


async def test_codes_are_not_mailed_to_an_address_that_nobody_has_confirmed(
    factors: SecondFactors,
) -> None:
    with pytest.raises(AddressNotConfirmed):
        await factors.turn_on_mail(ALICE)
    assert not factors.mails(ALICE)


async def test_a_code_is_void_once_mailed_codes_are_turned_off(
    factors: SecondFactors, clock: FakeClock, db: Database
) -> None:
    await confirm_address(db)
    await set_up_app(factors, clock)
    await factors.turn_on_mail(ALICE)
    code = await factors.mailed.create(ALICE)
    await factors.turn_off_mail(ALICE)
    assert await outcome(factors, code or "") == "WrongCode"


async def test_where_factors_are_required_who_has_none_sets_up_mailed_codes_by_using_one(
    make_factors: MakeFactors, clock: FakeClock
) -> None:
    factors = make_factors(required=True)
    assert factors.needed(ALICE)
    assert factors.mails(ALICE)
    code = await factors.mailed.create(ALICE)
    assert await outcome(factors, code or "") == "taken"
    assert factors.of(ALICE).mail_since is not None
    await set_up_app(factors, clock, BOB)
    assert not factors.mails(BOB)


# --- Guessing


async def test_guesses_at_once_are_all_counted(factors: SecondFactors, clock: FakeClock) -> None:
    secret, codes = await set_up_app(factors, clock)
    wrong = wrong_code(secret, clock)
    outcomes = await asyncio.gather(*(outcome(factors, wrong) for _ in range(PLACE_LIMIT + 5)))
    assert Counter(outcomes) == {"WrongCode": PLACE_LIMIT, "TooManyWrongCodes": 5}
    assert await outcome(factors, code_of(secret, clock)) == "TooManyWrongCodes"
    # The owner elsewhere notices nothing, and at the same place has other ways.
    assert await outcome(factors, code_of(secret, clock), "198.51.100.7") == "taken"
    assert await outcome(factors, codes[0]) == "taken"
    clock.now_s += HOUR_S
    assert await outcome(factors, code_of(secret, clock)) == "taken"


async def test_an_attacker_with_many_addresses_is_stopped_for_a_day(
    factors: SecondFactors, clock: FakeClock
) -> None:
    secret, codes = await set_up_app(factors, clock)
    wrong = wrong_code(secret, clock)
    outcomes = [await outcome(factors, wrong, f"10.0.0.{n}") for n in range(ACCOUNT_LIMIT + 1)]
    assert Counter(outcomes) == {"WrongCode": ACCOUNT_LIMIT, "TooManyWrongCodes": 1}
    assert await outcome(factors, codes[0]) == "taken"
    clock.now_s += DAY_S
    assert await outcome(factors, code_of(secret, clock)) == "taken"


async def test_refusals_do_not_tell_which_factors_there_are(
    factors: SecondFactors, clock: FakeClock, db: Database
) -> None:
    await confirm_address(db)
    await factors.turn_on_mail(ALICE)
    outcomes = [await outcome(factors, "000000") for _ in range(PLACE_LIMIT + 1)]
    assert outcomes == ["WrongCode"] * PLACE_LIMIT + ["TooManyWrongCodes"]


@pytest.mark.parametrize("code", ["", " ", "-", "1" * 5, "１２３４５６", "\x00", "a" * 100_000])
async def test_odd_texts_are_wrong_codes(
    factors: SecondFactors, clock: FakeClock, code: str
) -> None:
    await set_up_app(factors, clock)
    assert await outcome(factors, code) == "WrongCode"


# --- The end of factors


async def test_the_last_factor_takes_recovery_codes_and_trust_with_it(
    factors: SecondFactors, clock: FakeClock
) -> None:
    await set_up_app(factors, clock)
    token = await factors.trusted.trust(ALICE, None, user_agent=None, ip_address=PLACE)
    assert factors.trusted.is_trusted(ALICE, token)
    await factors.remove_app(ALICE)
    assert not factors.trusted.is_trusted(ALICE, token)
    assert (factors.needed(ALICE), factors.of(ALICE).recovery_codes) == (False, 0)


async def test_no_row_is_left_of_an_account_that_is_deleted(
    factors: SecondFactors, clock: FakeClock, db: Database
) -> None:
    await confirm_address(db)
    secret, _ = await set_up_app(factors, clock)
    await factors.turn_on_mail(ALICE)
    await factors.mailed.create(ALICE)
    await factors.trusted.trust(ALICE, None, user_agent="x", ip_address=PLACE)
    await outcome(factors, wrong_code(secret, clock))
    with db.transaction():
        db.run("DELETE FROM account WHERE did = ?", (ALICE,))
    tables = db.all("SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'holdfast%'")
    assert tables
    for (table,) in tables:
        assert db.value(f"SELECT count(*) FROM {table}") == 0, table
