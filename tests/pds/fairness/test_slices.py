"""Slices of the event loop: one in each round, and everybody in turn."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from pds.fairness.slices import Slices


async def work(slices: Slices, holder: str, done: list[str], pieces: int = 1) -> None:
    for _ in range(pieces):
        await slices.next(holder)
        done.append(holder)


async def test_a_job_alone_goes_on_without_end() -> None:
    done: list[str] = []
    await work(Slices(), "a", done, pieces=100)
    assert len(done) == 100


async def test_one_job_does_one_piece_in_each_round_of_the_event_loop() -> None:
    slices, done = Slices(), list[str]()
    jobs = [asyncio.create_task(work(slices, str(number), done, 2)) for number in range(50)]
    rounds, at_once = 0, 0
    while not all(job.done() for job in jobs):
        before = len(done)
        await asyncio.sleep(0)
        rounds, at_once = rounds + 1, max(at_once, len(done) - before)
    assert len(done) == 100
    assert at_once == 1
    assert rounds < 110, "and no round is wasted"


async def test_a_holder_with_many_jobs_delays_another_by_one_piece() -> None:
    slices, done = Slices(), list[str]()
    many = [asyncio.create_task(work(slices, "many", done, 10)) for _ in range(20)]
    await asyncio.sleep(0)
    await work(slices, "one", done, 5)
    assert done.count("many") <= 7
    await asyncio.gather(*many)


async def test_jobs_that_are_given_up_waiting_leave_the_turn_to_others() -> None:
    slices, done = Slices(), list[str]()
    waiting = [asyncio.create_task(work(slices, "gone", done)) for _ in range(3)]
    last = asyncio.create_task(work(slices, "last", done))
    await asyncio.sleep(0)
    for task in waiting:
        task.cancel()
    await last
    for task in waiting:
        with suppress(asyncio.CancelledError):
            await task
    assert done == ["last"]
    await work(slices, "later", done)
    assert done == ["last", "later"]
