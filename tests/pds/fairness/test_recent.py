from __future__ import annotations

import pytest

from pds.fairness import recent
from pds.fairness.recent import Latest, Recent
from tests.clock import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_turns_are_counted_by_holder(clock: Clock) -> None:
    had = Recent(10, now_s=clock)
    for holders in (("a", "x"), ("a", "y"), ("b", "x")):
        had.add(holders)
    assert [had.of(holder) for holder in "abxyz"] == [2, 1, 2, 1, 0]


@pytest.mark.parametrize(("passed_s", "left"), [(9, 3), (10, 3), (19, 3), (20, 1), (1000, 1)])
def test_turns_are_forgotten_after_a_while(clock: Clock, passed_s: float, left: int) -> None:
    had = Recent(10, now_s=clock)
    had.add(("a",))
    had.add(("a",))
    clock.now_s += passed_s
    had.add(("a",))
    assert had.of("a") == left


def test_without_a_memory_nothing_is_counted() -> None:
    had = Recent(0)
    had.add(("a",))
    assert had.of("a") == 0


def test_names_without_end_take_no_memory_without_end(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recent, "MAX_HOLDERS", 100)
    had = Recent(10, now_s=clock)
    for number in range(1000):
        had.add((str(number),))
    assert len(had._new) + len(had._old) <= 201


def test_the_latest_turn_of_any_name_counts_before_those_of_others() -> None:
    had = Latest()
    for holders in (("a", "x"), ("b", "y"), ("c", "x")):
        had.add(holders)
    known = [("new", "x"), ("a", "y"), ("a", "b"), ("new", "new"), ("b", "x")]
    assert sorted(known, key=had.of) == [
        ("new", "new"),
        ("a", "y"),
        ("a", "b"),
        ("new", "x"),
        ("b", "x"),
    ]


def test_latest_turns_of_names_without_end_take_no_memory_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recent, "MAX_HOLDERS", 100)
    had = Latest()
    for number in range(1000):
        had.add((str(number), "constant"))
    assert len(had._last) == 100
    assert had.of(("constant",)) == [1000]
