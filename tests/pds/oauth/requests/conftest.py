"""The table of requests in `tmp_path`, with a clock that tests set."""

from __future__ import annotations

import pytest

from database.connection import Database
from pds.oauth.requests.authorization_requests import AuthorizationRequests
from tests.pds.accounts.conftest import FakeClock


@pytest.fixture
def requests(db: Database, clock: FakeClock) -> AuthorizationRequests:
    return AuthorizationRequests(db, clock=clock)
