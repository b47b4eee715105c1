"""Telling outages from single failures, and trying again without haste."""

from __future__ import annotations

import pytest

from pds.replication.syncing.outage import Outage
from tests.clock import Clock


@pytest.fixture
def outage(clock: Clock) -> Outage:
    return Outage(clock=clock)


def test_one_actor_that_fails_again_and_again_is_no_outage(outage: Outage) -> None:
    assert not any(outage.fail("a", "no", is_general=False) for _ in range(100))
    assert not outage.is_on


def test_many_that_fail_with_none_between_that_does_not_are(outage: Outage) -> None:
    for did in "abcdefg":
        assert not outage.fail(did, "no", is_general=False)
    outage.succeed()
    for did in "abcdefg":
        assert not outage.fail(did, "no", is_general=False)
    assert outage.fail("h", "no", is_general=False)
    assert outage.reason == "no"


def test_a_failure_known_to_be_general_is_one_at_once(outage: Outage) -> None:
    assert outage.fail("a", "the bucket is gone", is_general=True)
    assert outage.is_on
    assert not outage.may_try


def test_tries_are_further_and_further_apart(outage: Outage, clock: Clock) -> None:
    outage.fail("a", "no", is_general=True)
    pauses = []
    for _ in range(10):
        pauses.append(outage.rest_s(1000.0))
        clock.now_s += outage.rest_s(1000.0)
        assert outage.may_try
        outage.fail("a", "no", is_general=True)
    assert pauses[:4] == [0.5, 1.0, 2.0, 4.0]
    assert pauses[-1] == 30.0


def test_those_under_way_when_it_began_do_not_delay_the_next_try(outage: Outage) -> None:
    outage.fail("a", "no", is_general=True)
    for did in "bcdefgh":
        assert not outage.fail(did, "no", is_general=True)
    assert outage.rest_s(1000.0) == 0.5


def test_one_success_ends_it(outage: Outage, clock: Clock) -> None:
    assert not outage.succeed()
    outage.fail("a", "no", is_general=True)
    clock.now_s += 60
    outage.fail("a", "no", is_general=True)
    assert outage.succeed()
    assert not outage.is_on
    outage.fail("a", "no", is_general=True)
    assert outage.rest_s(1000.0) == 0.5


def test_when_it_is_time_for_a_try_something_else_is_awaited(outage: Outage, clock: Clock) -> None:
    outage.fail("a", "no", is_general=True)
    assert outage.rest_s(0.2) == 0.2
    clock.now_s += 0.5
    assert outage.may_try
    assert outage.rest_s(0.2) == 0.2
