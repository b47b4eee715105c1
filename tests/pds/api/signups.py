"""Signing up, and looking at what a sign-up leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from identity.plc_data import InvalidPlcOperation
from tests.pds.conftest import Pds, Reply
from tests.pds.events import read_events

CREATE = "com.atproto.server.createAccount"
SOMEBODY: dict[str, Any] = {
    "handle": "dana.test",
    "email": "Dana@Example.com",
    "password": "dana-password",
}


async def create(pds: Pds, headers: Mapping[str, str] | None = None, **changes: Any) -> Reply:
    """Ask for the account of `SOMEBODY`; a change to None leaves a field out."""
    body = {key: value for key, value in {**SOMEBODY, **changes}.items() if value is not None}
    return await pds.post(CREATE, body, headers)


async def stored_dids(pds: Pds) -> list[str]:
    """The DIDs that have an actor store."""
    return await asyncio.to_thread(lambda: sorted(pds.ctx.actor_store.iter_dids()))


def account_rows(pds: Pds) -> dict[str, int]:
    """How many rows each table has that a signup writes to."""
    tables = ("actor", "account", "refresh_token", "repo_root", "invite_code_use")
    return {table: pds.ctx.accounts.db.value(f"SELECT count(*) FROM {table}") for table in tables}


NO_ROWS = {"actor": 0, "account": 0, "refresh_token": 0, "repo_root": 0, "invite_code_use": 0}


async def expect_nothing_left(pds: Pds) -> None:
    """No trace of a sign-up that failed, on a server without accounts."""
    assert await stored_dids(pds) == []
    assert account_rows(pds) == NO_ROWS
    assert read_events(pds) == []
    assert (await pds.get("com.atproto.sync.listRepos")).json["repos"] == []


def refuse_operation(*_: object) -> None:
    """Stands for the store of a PLC directory that refuses."""
    raise InvalidPlcOperation("the directory does not like it")


async def make_invite_codes(
    pds: Pds, count: int, *, uses: int = 1, account: str = "admin"
) -> list[str]:
    """New codes, as the administrator makes them."""
    codes = await pds.ctx.accounts.invites.create([account], count=count, uses=uses)
    return codes[account]
