"""A server with an AppView and a moderation service."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.pds.upstream import APPVIEW_DID, Upstream, run_upstream

MOD_DID = "did:web:mod.example.com"


@pytest.fixture
async def appview() -> AsyncIterator[Upstream]:
    async with run_upstream() as upstream:
        yield upstream


@pytest.fixture
async def other() -> AsyncIterator[Upstream]:
    """A service that the settings do not know."""
    async with run_upstream() as upstream:
        yield upstream


@pytest.fixture
async def mod_service() -> AsyncIterator[Upstream]:
    async with run_upstream() as upstream:
        yield upstream


@pytest.fixture
def pds_environ(appview: Upstream, mod_service: Upstream) -> dict[str, str]:
    return {
        "PDS_BSKY_APP_VIEW_URL": appview.url,
        "PDS_BSKY_APP_VIEW_DID": APPVIEW_DID,
        "PDS_MOD_SERVICE_URL": mod_service.url,
        "PDS_MOD_SERVICE_DID": MOD_DID,
    }
