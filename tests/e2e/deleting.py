"""Deleting an account in a process of its own: no method of the server does it yet."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from pds import faults
from pds.config import Settings
from pds.config.env_file import read_env_file
from pds.context import AppContext
from pds.deletion import delete_account
from repo.syntax import Did


def delete() -> None:
    """Delete the account of the DID in TEST_DID, from the data directory in TEST_DATA."""
    settings = Settings.from_env(read_env_file(Path(os.environ["TEST_DATA"]) / "dev.env"))
    faults.install(os.environ)
    asyncio.run(_delete(settings, Did(os.environ["TEST_DID"])))


async def _delete(settings: Settings, did: Did) -> None:
    ctx = await AppContext.open(settings)
    await delete_account(ctx, did)
    await ctx.close()
