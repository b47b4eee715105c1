"""A sequencer on a real file, and a clock that the test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sequencer.sequencer import Sequencer
from tests.sequencer.samples import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def log_path(tmp_path: Path) -> Path:
    return tmp_path / "sequencer.sqlite"


@pytest.fixture
async def sequencer(log_path: Path, clock: Clock) -> AsyncIterator[Sequencer]:
    opened = Sequencer(log_path, now_ms=clock)
    yield opened
    await opened.close()
