"""How often a health check looks, and how long it waits for a disk."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from pds.monitoring.health import check as check_module
from pds.monitoring.health.check import GOOD_FOR_S, HealthCheck
from pds.monitoring.health.probes import Failure
from tests.clock import Clock

BROKEN = Failure("disk", "is broken", "Mend it.")


class DiskProbe:
    """Looks at a disk that answers when it is told to."""

    def __init__(self, *found: Failure) -> None:
        self.found = found
        self.calls = 0
        self.answers = threading.Event()
        self.answers.set()

    def failures(self) -> Iterator[Failure]:
        self.calls += 1
        self.answers.wait(10)
        yield from self.found


def nothing() -> Iterator[Failure]:
    return iter(())


async def test_a_second_is_answered_from_memory() -> None:
    clock, disk = Clock(), DiskProbe(BROKEN)
    check = HealthCheck(nothing, [disk], clock=clock)
    assert await check.failures() == (BROKEN,)
    disk.found = ()
    clock.now_s += GOOD_FOR_S - 0.01
    assert await check.failures() == (BROKEN,)
    clock.now_s += 0.02
    assert await check.failures() == ()
    assert disk.calls == 2


async def test_many_who_ask_at_once_make_one_look() -> None:
    disk = DiskProbe(BROKEN)
    check = HealthCheck(nothing, [disk])
    answers = await asyncio.gather(*(check.failures() for _ in range(20)))
    assert set(answers) == {(BROKEN,)}
    assert disk.calls == 1


async def test_a_disk_that_does_not_answer_is_told_and_holds_one_thread(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(check_module, "PATIENCE_S", 0.01)
    disk = DiskProbe()
    disk.answers.clear()
    check = HealthCheck(nothing, [disk])
    for _ in range(5):
        check._good_until = 0.0
        (failure,) = await check.failures()
        assert failure.check == "files"
    assert disk.calls == 1
    disk.answers.set()
    probing = check._probing
    assert probing is not None
    await probing
    check._good_until = 0.0
    monkeypatch.setattr(check_module, "PATIENCE_S", 20.0)
    assert await check.failures() == ()


async def test_what_is_quick_to_find_is_found_beside_a_disk_that_does_not_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(check_module, "PATIENCE_S", 0.01)
    disk = DiskProbe()
    disk.answers.clear()
    check = HealthCheck(lambda: iter((BROKEN,)), [disk])
    assert [failure.check for failure in await check.failures()] == ["disk", "files"]
    disk.answers.set()
    probing = check._probing
    assert probing is not None
    await probing


async def test_one_who_leaves_early_spoils_nothing() -> None:
    disk = DiskProbe(BROKEN)
    disk.answers.clear()
    check = HealthCheck(nothing, [disk])
    leaving = asyncio.create_task(check.failures())
    await asyncio.sleep(0)
    leaving.cancel()
    disk.answers.set()
    assert await check.failures() == (BROKEN,)
