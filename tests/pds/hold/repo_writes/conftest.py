"""The captain of a hold, and its crew."""

from __future__ import annotations

import pytest

from pds.hold.hold import Hold
from pds.hold.permissions import Permission
from tests.pds.conftest import Pds
from tests.pds.hold.callers import (
    CAPTAIN_ENVIRON,
    Caller,
    enroll_captain,
)
from tests.pds.hold.conftest import BOTH
from tests.pds.hold.repo_writes.kit import join


@pytest.fixture
def pds_environ() -> dict[str, str]:
    return dict(CAPTAIN_ENVIRON)


@pytest.fixture
def captain(pds: Pds) -> Caller:
    return enroll_captain(pds)


@pytest.fixture
async def admin(pds: Pds, hold: Hold) -> Caller:
    return await join(pds, hold, *BOTH, Permission.ADMIN)


@pytest.fixture
async def member(pds: Pds, hold: Hold) -> Caller:
    return await join(pds, hold, *BOTH)


@pytest.fixture(params=["captain", "admin"])
async def writer(request: pytest.FixtureRequest, pds: Pds, hold: Hold) -> Caller:
    """Who may write to the hold's repository."""
    if request.param == "captain":
        return enroll_captain(pds)
    return await join(pds, hold, *BOTH, Permission.ADMIN)
