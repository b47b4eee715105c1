"""A ledger, a data directory and a replica in directories of their own."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from database.connection import Database
from database.migrations import migrate
from database.opening import open_database
from pds.replication.copies import pace
from pds.replication.ledger.ledger import MIGRATIONS
from tests.clock import Clock
from tests.pds.replication.copies.kit import WatchedPlace


@pytest.fixture(autouse=True)
def _no_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "_REST_FACTOR", 0)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Database]:
    db = open_database(tmp_path / "replication.sqlite")
    migrate(db, MIGRATIONS)
    yield db
    db.close()


@pytest.fixture
def replica(tmp_path: Path) -> Path:
    """The directory of the replica."""
    directory = tmp_path / "replica"
    directory.mkdir()
    return directory


@pytest.fixture
async def place(replica: Path) -> AsyncIterator[WatchedPlace]:
    place = WatchedPlace(replica)
    yield place
    await place.close()


@pytest.fixture
def clock() -> Clock:
    return Clock(time.time())
