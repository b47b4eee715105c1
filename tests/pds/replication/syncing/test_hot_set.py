"""The hot set: which databases are open, and which go first."""

from __future__ import annotations

import pytest

from pds.replication.syncing.hot_set import TRIAL_S, HotSet
from tests.clock import Clock


@pytest.fixture
def hot(clock: Clock) -> HotSet:
    hot = HotSet(3, clock=clock)
    for did in "abc":
        hot.add(did, ord(did)).syncs = 2
        clock.now_s += 1
    return hot


def test_the_one_used_longest_ago_is_the_coldest(hot: HotSet) -> None:
    assert hot.is_full
    assert hot.coldest() == "a"
    hot.touch("a")
    assert hot.coldest() == "b"


def test_those_in_use_are_not_chosen(hot: HotSet) -> None:
    with hot.using("a"), hot.using("b"):
        assert hot.coldest() == "c"
        with hot.using("c"):
            assert hot.coldest() is None
    assert hot.coldest() == "c"


def test_idle_ones_are_those_unused_for_so_long(hot: HotSet, clock: Clock) -> None:
    assert hot.idle(2.0, limit=9) == ["a", "b"]
    assert hot.idle(2.0, limit=1) == ["a"]
    with hot.using("a"):
        assert hot.idle(2.0, limit=9) == ["b"]
    assert hot.idle(2.0, limit=9) == ["b"]
    clock.now_s += 10
    assert hot.idle(2.0, limit=9) == ["b", "c", "a"]


def test_those_synced_once_are_idle_sooner(hot: HotSet, clock: Clock) -> None:
    hot.add("d", 1).syncs = 1
    clock.now_s += TRIAL_S
    assert hot.idle(60.0, limit=9) == ["d"]
    assert hot.idle(1.0, limit=9) == ["a", "b", "c", "d"]


def test_a_new_daemon_has_nothing_open(hot: HotSet) -> None:
    assert hot.clear() == ("a", "b", "c")
    assert len(hot) == 0
    assert hot.inode_of("a") is None


def test_using_one_that_is_not_open_is_harmless(hot: HotSet) -> None:
    with hot.using("z") as actor:
        assert actor is None
    hot.remove("z")
    assert list(hot) == ["a", "b", "c"]
    assert hot.inode_of("b") == ord("b")
