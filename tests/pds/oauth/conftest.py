"""A clock that tests set, and a replay store in memory."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from pds.oauth.replay.sqlite import SqliteReplays

START_S = 1_800_000_000.0


@dataclass
class FakeClock:
    """Seconds since the Unix epoch, as a test sets them."""

    now_s: float = START_S

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def replays(clock: FakeClock) -> SqliteReplays:
    return SqliteReplays.in_memory(clock=clock)
