"""The administrator's authenticator app: codes, wrong ones, and getting in without it."""

from __future__ import annotations

import pyotp
import pytest

from database.connection import Database
from pds.administration.second_factor import (
    WRONG_A_DAY,
    AdminSecondFactor,
    TooManyWrongCodes,
    reset,
)
from tests.pds.accounts.conftest import FakeClock

KEY = b"k" * 32


@pytest.fixture
def factor(db: Database, clock: FakeClock) -> AdminSecondFactor:
    return AdminSecondFactor(db, KEY, clock=clock)


async def set_up(factor: AdminSecondFactor, clock: FakeClock) -> pyotp.TOTP:
    secret, sealed = factor.offer()
    assert factor.offered(sealed) == secret
    totp = pyotp.TOTP(secret)
    assert await factor.set_up(secret, totp.at(clock.now_s))
    return totp


async def test_a_code_works_once_and_for_its_time(
    factor: AdminSecondFactor, clock: FakeClock
) -> None:
    totp = await set_up(factor, clock)
    assert factor.since == int(clock.now_s)
    assert not await factor.check(totp.at(clock.now_s))
    clock.now_s += 60
    assert not await factor.check(totp.at(clock.now_s - 90))
    assert await factor.check(totp.at(clock.now_s))
    assert not await factor.check(totp.at(clock.now_s))


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "１２３４５６", "0" * 1000])
async def test_what_is_no_code_is_wrong(
    factor: AdminSecondFactor, clock: FakeClock, code: str
) -> None:
    await set_up(factor, clock)
    assert not await factor.check(code)
    assert not await factor.set_up("A" * 32, code)


async def test_codes_are_refused_after_many_wrong_ones_until_the_day_is_over(
    factor: AdminSecondFactor, clock: FakeClock
) -> None:
    totp = await set_up(factor, clock)
    for _ in range(WRONG_A_DAY):
        assert not await factor.check("000000")
    clock.now_s += 3600
    with pytest.raises(TooManyWrongCodes):
        await factor.check(totp.at(clock.now_s))
    clock.now_s += 24 * 3600
    assert await factor.check(totp.at(clock.now_s))


async def test_an_offer_lasts_some_minutes_and_is_of_this_server(
    factor: AdminSecondFactor, db: Database, clock: FakeClock
) -> None:
    _, sealed = factor.offer()
    assert AdminSecondFactor(db, b"x" * 32, clock=clock).offered(sealed) is None
    clock.now_s += 15 * 60 + 1
    assert factor.offered(sealed) is None


async def test_with_another_secret_of_the_server_no_code_is_right(
    factor: AdminSecondFactor, db: Database, clock: FakeClock
) -> None:
    totp = await set_up(factor, clock)
    clock.now_s += 60
    other = AdminSecondFactor(db, b"x" * 32, clock=clock)
    assert other.is_set
    assert not await other.check(totp.at(clock.now_s))


async def test_it_is_removed_by_a_reset_and_by_removal(
    factor: AdminSecondFactor, db: Database, clock: FakeClock
) -> None:
    await set_up(factor, clock)
    assert reset(db)
    assert not factor.is_set
    assert not reset(db)
    await set_up(factor, clock)
    await factor.remove()
    assert not factor.is_set
    assert not await factor.check("000000")
    db.run("DROP TABLE holdfast_admin_factor")
    assert not reset(db)
