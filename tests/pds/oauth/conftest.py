"""A clock that tests set, `account.sqlite` in `tmp_path`, and a replay store in memory."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from database.change_watch import ChangeWatch
from database.connection import Database
from pds.accounts.access_cutoffs import AccessCutoffs
from pds.accounts.schema import open_account_database
from pds.oauth.replay.sqlite import SqliteReplays
from tests.pds.accounts.conftest import FakeClock, clock

__all__ = ["clock"]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    db = open_account_database(tmp_path / "account.sqlite")
    AccessCutoffs(db, ChangeWatch(db), clock=time.time)
    yield db
    db.close()


@pytest.fixture
def replays(clock: FakeClock) -> SqliteReplays:
    return SqliteReplays.in_memory(clock=clock)
