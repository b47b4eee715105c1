from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pds.fairness.turns import TooBusy, Turns

LONG_S = 60.0


def turns_of(
    *,
    at_once: int = 1,
    each: int = 10,
    waiting: int = 10,
    waiting_each: int = 10,
    wait_s: float = LONG_S,
    memory_s: float = 0,
) -> Turns:
    return Turns(
        "tests",
        at_once=at_once,
        each=each,
        waiting=waiting,
        waiting_each=waiting_each,
        wait_s=wait_s,
        memory_s=memory_s,
    )


async def settle() -> None:
    """Let every task run that can."""
    for _ in range(5):
        await asyncio.sleep(0)


class Crowd:
    """Tasks that want a turn and hold it until told."""

    def __init__(self, turns: Turns) -> None:
        self.started: list[str] = []
        self._turns = turns
        self._ends: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def join(self, name: str, *holders: str) -> None:
        self._ends[name] = asyncio.Event()
        self._tasks[name] = asyncio.create_task(self._live(name, holders))
        await settle()

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await settle()

    async def leave(self, name: str) -> None:
        self._tasks[name].cancel()
        await settle()

    async def disperse(self) -> None:
        for end in self._ends.values():
            end.set()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _live(self, name: str, holders: tuple[str, ...]) -> None:
        async with self._turns.turn(*holders):
            self.started.append(name)
            await self._ends[name].wait()


async def test_those_who_find_no_turn_wait_for_it_in_order() -> None:
    turns = turns_of()
    crowd = Crowd(turns)
    for name in "abc":
        await crowd.join(name, name)
    assert (crowd.started, turns.running, turns.waiting) == (["a"], 1, 2)
    await crowd.end("a")
    assert crowd.started == ["a", "b"]
    await crowd.end("b")
    assert crowd.started == ["a", "b", "c"]
    await crowd.disperse()
    assert (turns.running, turns.waiting) == (0, 0)


async def test_one_who_holds_none_goes_before_all_of_one_who_holds_some() -> None:
    crowd = Crowd(turns_of(at_once=2))
    for number in range(6):
        await crowd.join(f"greedy-{number}", "greedy")
    await crowd.join("modest", "modest")
    await crowd.end("greedy-0")
    assert crowd.started == ["greedy-0", "greedy-1", "modest"]
    await crowd.disperse()


async def test_one_who_comes_once_waits_for_one_turn_of_each_who_asks_without_end() -> None:
    crowd = Crowd(turns_of(at_once=2, waiting=100, waiting_each=100))
    for number in range(20):
        for holder in ("greedy", "greedier", "greediest"):
            await crowd.join(f"{holder}-{number}", holder)
    await crowd.join("modest", "modest")
    for _ in range(2):
        await crowd.end(crowd.started[-1])
    assert crowd.started[2:] == ["greediest-0", "modest"]
    await crowd.disperse()


async def test_holders_who_always_come_anew_do_not_go_before_one_who_waits() -> None:
    crowd = Crowd(turns_of())
    await crowd.join("now", "patient")
    for name in ("second", "third"):
        await crowd.join(name, "patient")
    for holder in ("x", "y"):
        await crowd.join(f"{holder}-0", holder)
    for number in range(1, 5):
        # Each asks again as soon as its turn has ended.
        for holder in ("x", "y"):
            await crowd.join(f"{holder}-{number}", holder)
            await crowd.end(crowd.started[-1])
    assert "third" in crowd.started
    await crowd.disperse()


async def test_a_name_that_is_new_each_time_does_not_help_an_address() -> None:
    crowd = Crowd(turns_of(waiting=100, waiting_each=100))
    for number in range(10):
        await crowd.join(f"greedy-{number}", f"host new-{number}", "greedy")
    await crowd.join("modest", "host known", "modest")
    await crowd.join("same address", "host known", "greedy")
    await crowd.end("greedy-0")
    assert crowd.started == ["greedy-0", "modest"]
    await crowd.disperse()


async def test_a_holder_never_has_more_than_its_share_though_turns_are_free() -> None:
    turns = turns_of(at_once=3, each=1)
    crowd = Crowd(turns)
    await crowd.join("first", "did:a", "10.0.0.1")
    await crowd.join("same account", "did:a", "10.0.0.2")
    await crowd.join("same address", "did:b", "10.0.0.1")
    await crowd.join("neither", "did:c", "10.0.0.3")
    assert crowd.started == ["first", "neither"]
    await crowd.end("first")
    assert crowd.started == ["first", "neither", "same account", "same address"]
    await crowd.disperse()


async def test_a_free_turn_is_given_although_the_queue_is_full_of_others() -> None:
    crowd = Crowd(turns_of(at_once=2, each=1, waiting=1))
    await crowd.join("first", "greedy")
    await crowd.join("second", "greedy")
    await crowd.join("modest", "modest")
    assert crowd.started == ["first", "modest"]
    await crowd.disperse()


@pytest.mark.parametrize("limit", [{"waiting": 1}, {"waiting_each": 1}])
async def test_a_full_queue_refuses_at_once(limit: dict[str, int]) -> None:
    turns = turns_of(**limit)
    crowd = Crowd(turns)
    await crowd.join("first", "a")
    await crowd.join("second", "a")
    with pytest.raises(TooBusy, match="busy with tests"):
        async with turns.turn("a"):
            pass
    await crowd.disperse()
    async with turns.turn("a"):
        pass


async def test_in_a_full_queue_the_holder_of_most_places_gives_way() -> None:
    crowd = Crowd(turns_of(waiting=4))
    for number in range(5):
        await crowd.join(f"greedy-{number}", "greedy")
    await crowd.join("modest", "modest")
    await crowd.disperse()
    assert crowd.started == ["greedy-0", "modest", "greedy-1", "greedy-2", "greedy-3"]


async def test_names_that_are_new_each_time_do_not_keep_places() -> None:
    crowd = Crowd(turns_of(waiting=6))
    await crowd.join("first", "nobody")
    for number in range(2):
        await crowd.join(f"modest-{number}", "host known", f"modest-{number}")
    for number in range(6):
        await crowd.join(f"greedy-{number}", f"host new-{number}", "greedy")
    await crowd.disperse()
    assert {"modest-0", "modest-1"} < set(crowd.started)


async def test_the_places_of_a_holder_are_shared_among_those_it_holds_them_with() -> None:
    crowd = Crowd(turns_of(waiting=10, waiting_each=3))
    for number in range(4):
        await crowd.join(f"greedy-{number}", "10.0.0.1", "did:greedy")
    await crowd.join("modest", "10.0.0.1", "did:modest")
    await crowd.join("another", "10.0.0.2", "did:another")
    await crowd.disperse()
    assert set(crowd.started) == {"greedy-0", "greedy-1", "greedy-2", "modest", "another"}


async def test_with_a_memory_those_go_first_who_have_had_fewest_turns() -> None:
    turns = turns_of(memory_s=LONG_S)
    for earlier in (("a", "x"), ("a", "y"), ("b", "x")):
        async with turns.turn(*earlier):
            pass
    crowd = Crowd(turns)
    await crowd.join("first", "nobody", "z")
    for name, *holders in ("ax", "ay", "bx", "by", "cx"):
        await crowd.join("".join((name, *holders)), name, *holders)
    for name in ("first", "cx", "by", "ay", "bx"):
        await crowd.end(name)
    assert crowd.started == ["first", "cx", "by", "ay", "bx", "ax"]
    await crowd.disperse()


async def test_with_a_memory_who_comes_finds_a_place_among_equals() -> None:
    crowd = Crowd(turns_of(waiting=2, memory_s=LONG_S))
    for name in "abcd":
        await crowd.join(name, name)
    await crowd.disperse()
    assert crowd.started == ["a", "c", "d"]


async def test_waiting_ends_after_its_time() -> None:
    turns = turns_of(wait_s=0.01)
    async with turns.turn("a"):
        with pytest.raises(TooBusy):
            async with turns.turn("b"):
                pass
        assert (turns.running, turns.waiting) == (1, 0)


async def test_who_leaves_the_queue_leaves_no_trace() -> None:
    turns = turns_of(waiting_each=1)
    crowd = Crowd(turns)
    await crowd.join("first", "a")
    await crowd.join("second", "b")
    await crowd.leave("second")
    await crowd.join("third", "b")
    await crowd.end("first")
    assert crowd.started == ["first", "third"]
    await crowd.disperse()
    assert (turns.running, turns.waiting) == (0, 0)


async def test_a_turn_that_comes_as_its_owner_leaves_goes_to_the_next() -> None:
    turns = turns_of()
    first = AsyncExitStack()
    await first.enter_async_context(turns.turn("a"))
    crowd = Crowd(turns)
    await crowd.join("leaving", "b")
    await crowd.join("next", "c")
    leaving = crowd._tasks["leaving"]
    await first.aclose()  # Grants the turn, of which the task has not heard yet.
    leaving.cancel()
    await settle()
    assert crowd.started == ["next"]
    await crowd.disperse()
    assert turns.running == 0


async def test_a_turn_is_given_back_when_its_work_fails() -> None:
    turns = turns_of()
    with suppress(ValueError):
        async with turns.turn("a"):
            raise ValueError
    assert turns.running == 0


@settings(max_examples=60, deadline=None)
@given(
    memory_s=st.sampled_from([0.0, LONG_S]),
    steps=st.lists(
        st.tuples(st.sampled_from(["join", "end", "leave"]), st.integers(0, 9), st.integers(0, 3)),
        max_size=40,
    ),
)
async def test_no_limit_is_passed_and_no_turn_is_lost_whatever_happens(
    memory_s: float,
    steps: list[tuple[str, int, int]],
) -> None:
    turns = turns_of(at_once=3, each=2, waiting=6, waiting_each=3, memory_s=memory_s)
    crowd = Crowd(turns)
    joined = 0
    for step, which, holder in steps:
        if step == "join":
            await crowd.join(str(joined), f"holder-{holder}")
            joined += 1
        elif joined:
            await getattr(crowd, step)(str(which % joined))
        assert 0 <= turns.running <= 3
        assert 0 <= turns.waiting <= 6
        assert max(turns._held.values(), default=0) <= 2
        assert max(turns._waiting_of.values(), default=0) <= 3
    await crowd.disperse()
    assert (turns.running, turns.waiting, turns._held, turns._waiting_of) == (0, 0, {}, {})
