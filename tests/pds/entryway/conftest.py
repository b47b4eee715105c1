"""A server behind an entryway, and an account that has come through it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.entryway import Entryway, run_entryway
from tests.pds.api.conftest import handle_world
from tests.pds.api.moderation import Recorder
from tests.pds.conftest import Account, Pds

__all__ = ["handle_world"]


@pytest.fixture
async def running_entryway() -> AsyncIterator[Entryway]:
    async with run_entryway() as entryway:
        yield entryway


@pytest.fixture
def pds_environ(running_entryway: Entryway) -> dict[str, str]:
    return running_entryway.environ


@pytest.fixture
def entryway(running_entryway: Entryway, pds: Pds) -> Entryway:
    """The entryway, which knows its PDS."""
    running_entryway.belongs_to(pds.url, pds.ctx.settings)
    return running_entryway


@pytest.fixture
async def alice(entryway: Entryway) -> Account:
    return await sign_up(entryway, "alice")


@pytest.fixture
def new_events(pds: Pds, alice: Account) -> Recorder:
    """The events since the last look."""
    return Recorder(pds)


async def sign_up(entryway: Entryway, name: str) -> Account:
    """Make an account through the entryway, with a session."""
    login = await entryway.sign_up(f"{name}.test", f"{name}-password")
    entryway.asked.clear()
    return Account(
        login.did,
        login.handle,
        f"{name}@example.com",
        login.password,
        entryway.access(login.did),
        entryway.refresh(login.did),
    )
