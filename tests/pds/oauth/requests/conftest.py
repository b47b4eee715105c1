"""The table of requests in `tmp_path`, with a clock that tests set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from database.connection import Database
from pds.accounts.schema import open_account_database
from pds.oauth.requests.authorization_requests import AuthorizationRequests
from tests.pds.accounts.conftest import FakeClock, clock

__all__ = ["clock"]


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Database]:
    db = open_account_database(tmp_path / "account.sqlite")
    yield db
    db.close()


@pytest.fixture
def requests(db: Database, clock: FakeClock) -> AuthorizationRequests:
    return AuthorizationRequests(db, clock=clock)
