"""Many accounts, made in the data directory of a server while it is stopped."""

from __future__ import annotations

import asyncio
from pathlib import Path

from pds.config import Settings, read_settings
from pds.config.env_file import read_env_file
from pds.context import open_app_context
from pds.dev.environment import ENV_FILE, dev_environment, keep_dev_environment
from pds.disk.data_directory import make_directories
from pds.recovery.start import recover
from repo.keys import K256PrivateKey
from repo.syntax import Did


def settle(data: Path, accounts: int) -> list[str]:
    """Make so many accounts with an empty repository, for `pds dev`. Return their DIDs."""
    environ = dev_environment(data, host="127.0.0.1", port=1, plc_port=1, environ={})
    keep_dev_environment(data, environ)
    settings = read_settings(read_env_file(data / ENV_FILE))
    make_directories(settings)
    return asyncio.run(_settle(settings, accounts))


async def _settle(settings: Settings, accounts: int) -> list[str]:
    ctx = await open_app_context(settings, recover)
    key = K256PrivateKey.from_bytes(bytes(31) + b"\x07")
    dids = [Did(f"did:plc:{number:024}".translate(_BASE32)) for number in range(accounts)]
    try:
        for number, did in enumerate(dids):
            commit = await ctx.actor_store.create(did, key, lambda actor: actor.create_repo())
            handle = f"crowd{number}.test"
            await ctx.accounts.upsert_hosted(
                did, handle=handle, cid=str(commit.cid), rev=commit.rev
            )
    finally:
        await ctx.close()
    return list(dids)


_BASE32 = str.maketrans("0123456789", "abcdefghij")
