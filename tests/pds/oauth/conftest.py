"""A clock that tests set, and a replay store in memory."""

from __future__ import annotations

import pytest

from pds.oauth.replay.sqlite import SqliteReplays
from tests.pds.accounts.conftest import FakeClock, clock

__all__ = ["clock"]


@pytest.fixture
def replays(clock: FakeClock) -> SqliteReplays:
    return SqliteReplays.in_memory(clock=clock)
