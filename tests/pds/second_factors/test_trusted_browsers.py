"""Trusted browsers: for how long, for whom, and what ends it."""

from __future__ import annotations

import pytest

from database.connection import Database
from pds.second_factors import trusted_browsers
from pds.second_factors.second_factors import SecondFactors
from pds.second_factors.trusted_browsers import LIFETIME_S, TrustedBrowsers
from repo.syntax import Did
from tests.pds.accounts.conftest import ALICE, BOB, FakeClock


@pytest.fixture
def trusted(factors: SecondFactors) -> TrustedBrowsers:
    return factors.trusted


async def trust(trusted: TrustedBrowsers, did: Did = ALICE, token: str | None = None) -> str:
    return await trusted.trust(did, token, user_agent="Firefox", ip_address="192.0.2.1")


async def test_a_browser_is_trusted_for_thirty_days_by_the_account_that_says_so(
    trusted: TrustedBrowsers, clock: FakeClock
) -> None:
    token = await trust(trusted)
    assert trusted.is_trusted(ALICE, token)
    assert not trusted.is_trusted(BOB, token)
    clock.now_s += LIFETIME_S - 1
    assert trusted.is_trusted(ALICE, token)
    clock.now_s += 1
    assert not trusted.is_trusted(ALICE, token)
    assert trusted.list(ALICE) == []


async def test_accounts_in_one_browser_share_its_cookie(trusted: TrustedBrowsers) -> None:
    cookie = await trust(trusted, BOB, await trust(trusted))
    cookie = await trust(trusted, ALICE, cookie)
    assert len(trusted.list(ALICE)) == 1
    (of_bob,) = trusted.list(BOB)
    await trusted.forget(ALICE, of_bob.id)
    assert trusted.is_trusted(BOB, cookie)
    await trusted.forget(BOB, of_bob.id)
    assert not trusted.is_trusted(BOB, cookie)
    assert trusted.is_trusted(ALICE, cookie)


async def test_whoever_has_planted_a_cookie_is_not_trusted_with_it(
    trusted: TrustedBrowsers,
) -> None:
    planted = await trust(trusted, BOB)
    kept = await trust(trusted, ALICE, planted)
    assert trusted.is_trusted(ALICE, kept)
    assert not trusted.is_trusted(ALICE, planted)


async def test_a_cookie_has_a_bounded_number_of_accounts(
    trusted: TrustedBrowsers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trusted_browsers, "MAX_ACCOUNTS", 2)
    crowd = ".".join(f"trust-{each * 43}" for each in "abc")
    cookie = await trust(trusted, ALICE, crowd)
    assert cookie.endswith(f".trust-{'a' * 43}")
    assert trusted.is_trusted(ALICE, cookie)
    assert not trusted.is_trusted(ALICE, f"{crowd}.{cookie}")


@pytest.mark.parametrize("token", [None, "", "x", "trust-", "trust-" + "a" * 44, "trust-é" * 9])
async def test_texts_that_nobody_gave_out_are_not_trusted(
    trusted: TrustedBrowsers, token: str | None
) -> None:
    assert not trusted.is_trusted(ALICE, token)
    assert await trust(trusted, ALICE, token) != token


async def test_a_new_password_ends_trust_whoever_sets_it(
    trusted: TrustedBrowsers, db: Database
) -> None:
    token = await trust(trusted)
    with db.transaction():
        db.run("UPDATE account SET passwordScrypt = 'new' WHERE did = ?", (ALICE,))
    assert not trusted.is_trusted(ALICE, token)


async def test_the_oldest_browsers_are_forgotten_first(
    trusted: TrustedBrowsers, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trusted_browsers, "MAX_EACH", 2)
    tokens = []
    for _ in range(3):
        tokens.append(await trust(trusted))
        clock.now_s += 1
    assert [trusted.is_trusted(ALICE, token) for token in tokens] == [False, True, True]
