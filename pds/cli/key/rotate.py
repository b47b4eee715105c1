"""`pds key rotate`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from pds.cli.account.changing import Target, account_options
from pds.cli.entryway import refuse_behind_entryway
from pds.cli.operator import on_server_or_files
from pds.cli.output import print_json, say

if TYPE_CHECKING:
    from pds.cli.running_server import RunningServer
    from pds.context import AppContext


@click.command()
@account_options
def rotate(account: str, as_json: bool, env_file: Path | None) -> None:
    """Give an account a new signing key.

    For a key that somebody else may have, or that is lost. The new key comes into the account's
    DID, signed with the server's rotation key, and signs a commit of the same records; the network
    is told. Logins are not affected. If it is cut off, repeat it. The owner of a did:web changes
    the key in their own document.

    \b
    Examples:
      pds key rotate alice.example.com
      pds key rotate did:plc:ewvi7nxzyoun6zhxrhs64oiz --json
    """
    target = Target.find(account, env_file)
    refuse_behind_entryway(target.settings, "rotation keys")

    async def running(server: RunningServer) -> dict[str, Any]:
        return await server.put(f"/_holdfast/signing-key/{quote(target.did, safe=':')}", {})

    async def stopped(ctx: AppContext) -> dict[str, Any]:
        from pds.lifecycle.key_rotation import replace_signing_key

        key = await replace_signing_key(ctx, target.account)
        return {"did": target.did, "signingKey": key.did_key}

    rotated = asyncio.run(on_server_or_files(target.settings, running=running, stopped=stopped))
    if as_json:
        print_json(rotated)
    else:
        say(f"{target.name} signs with {rotated['signingKey']} from now on.")
