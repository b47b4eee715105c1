"""Denials: how long whoever was refused is refused from memory."""

from __future__ import annotations

from typing import Final

import pytest

from pds.hold.auth.denials import FREE, Denial, Denials, Refusal
from tests.clock import Clock

REFUSAL: Final = Refusal(401, "BadJwtSignature", "no")
LATER: Final = Refusal(401, "AuthenticationRequired", "not found")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def denials(clock: Clock) -> Denials[str]:
    return Denials(now_s=clock)


def refuse(denials: Denials[str], times: int, key: str = "a") -> Denial | None:
    last = None
    for _ in range(times):
        last = denials.note(key, REFUSAL)
    return last


def test_the_first_refusals_start_no_pause(denials: Denials[str]) -> None:
    assert refuse(denials, FREE) is None
    assert denials.find("a") is None


def test_pauses_double_up_to_a_minute(denials: Denials[str], clock: Clock) -> None:
    refuse(denials, FREE)
    pauses = []
    for _ in range(9):
        denial = denials.note("a", REFUSAL)
        assert denial is not None
        pauses.append(denial.retry_after_s)
        clock.now_s += denial.retry_after_s
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_a_pause_repeats_the_last_refusal_and_then_ends(
    denials: Denials[str], clock: Clock
) -> None:
    refuse(denials, FREE + 2)
    denials.note("a", LATER)
    found = denials.find("a")
    assert found == Denial(LATER, 4)
    assert found.error().response().headers["Retry-After"] == "4"
    clock.now_s += 3.5
    assert denials.find("a") == Denial(LATER, 1)
    clock.now_s += 0.5
    assert denials.find("a") is None


def test_a_success_ends_it_all(denials: Denials[str]) -> None:
    refuse(denials, FREE + 5)
    denials.forget("a")
    assert denials.find("a") is None
    assert refuse(denials, FREE) is None


def test_each_key_has_its_own_refusals(denials: Denials[str]) -> None:
    refuse(denials, FREE + 5)
    assert denials.find("b") is None


def test_an_endless_row_does_not_overflow(denials: Denials[str]) -> None:
    assert refuse(denials, 3_000) == Denial(REFUSAL, 60)


def test_refusals_are_forgotten_after_a_while(denials: Denials[str], clock: Clock) -> None:
    refuse(denials, FREE + 5)
    clock.now_s += 601
    assert denials.note("a", REFUSAL) is None


def test_only_so_many_are_remembered(clock: Clock) -> None:
    denials: Denials[str] = Denials(max_remembered=100, now_s=clock)
    for number in range(1_000):
        refuse(denials, FREE + 1, str(number))
    remembered = [number for number in range(1_000) if denials.find(str(number))]
    assert remembered == list(range(900, 1_000))
