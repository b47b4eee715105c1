"""The ring of samples: bounded, and read as levels and rates."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from pds.administration.samples import COARSE, DAY, HOUR, Counts, Load, Sample, Sampler, Samples
from tests.pds.accounts.conftest import FakeClock


def sample(at_s: float, requests: int = 0, subscribers: int = 0) -> Sample:
    return Sample(at_s, Counts(requests, 0, 0, 0, subscribers, 0), 1_000, 2_000)


def test_rates_are_what_was_counted_between_two_samples() -> None:
    samples = Samples()
    for at_s, requests in ((0, 10), (10, 40), (20, 40), (20, 50), (30, 0)):
        samples.add(sample(at_s, requests))
    series = samples.rates(lambda counts: counts.requests)
    assert series.times_s == (10, 20, 30)
    # A count that falls would mean another process; it is no negative rate.
    assert series.values == (3.0, 0.0, 0.0)
    assert series.newest == 0.0


def test_rings_keep_an_hour_in_full_and_a_day_coarsely() -> None:
    samples = Samples()
    for number in range(HOUR * 30):
        samples.add(sample(number * 10, subscribers=number))
    hour = samples.levels(lambda each: each.counts.subscribers)
    day = samples.levels(lambda each: each.counts.subscribers, day=True)
    assert len(hour.values) == HOUR
    assert len(day.values) <= DAY + 1
    assert hour.newest == day.newest == HOUR * 30 - 1
    assert day.values[1] - day.values[0] == COARSE


def load_of(requests: int) -> Callable[[], Awaitable[Load]]:
    """A server that has had so many requests."""

    async def read() -> Load:
        return Load(Counts(requests, 0, 0, 0, 0, 0), memory_bytes=1_000_000)

    return read


@pytest.mark.parametrize("day", [False, True])
def test_without_samples_there_is_nothing_to_draw(day: bool) -> None:
    samples = Samples()
    assert samples.levels(lambda each: each.memory_bytes, day=day).newest is None
    assert samples.rates(lambda each: each.events, day=day).values == ()


async def test_a_sample_has_the_memory_of_the_server_and_the_space_of_the_disk(
    tmp_path: Path, clock: FakeClock
) -> None:
    sampler = Sampler(load_of(7), tmp_path, clock=clock)
    await sampler.take()
    newest = sampler.samples.newest
    assert newest is not None
    assert (newest.at_s, newest.counts.requests) == (clock.now_s, 7)
    assert newest.memory_bytes == 1_000_000
    assert newest.disk_free_bytes > 0


async def test_a_disk_that_is_gone_does_not_end_the_samples(clock: FakeClock) -> None:
    sampler = Sampler(load_of(0), Path("/nowhere"), clock=clock)
    await sampler.take()
    assert sampler.samples.newest is not None
    assert sampler.samples.newest.disk_free_bytes == 0


async def test_a_started_sampler_begins_at_once_and_ends_when_it_is_closed(
    tmp_path: Path, clock: FakeClock
) -> None:
    sampler = Sampler(load_of(0), tmp_path, clock=clock)
    sampler.start()
    while sampler.samples.newest is None:
        await sampler.take()
    await sampler.close()
    assert sampler._task is not None
    assert sampler._task.cancelled()
