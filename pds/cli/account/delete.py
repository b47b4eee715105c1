"""`pds account delete`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pds.cli.account.changing import Target, account_options
from pds.cli.confirmation import confirm, yes_option
from pds.cli.output import print_json, say

if TYPE_CHECKING:
    from pds.context import AppContext


@click.command()
@account_options
@yes_option
def delete(account: str, yes: bool, as_json: bool, env_file: Path | None) -> None:
    """Delete an account with its repository, blobs and events.

    Nothing brings it back. Its DID stays with its user, who may take it to another server.

    \b
    Examples:
      pds account delete alice.example.com
      pds account delete did:plc:ewvi7nxzyoun6zhxrhs64oiz --yes
    """
    target = Target.find(account, env_file)
    confirm(f"Delete {target.name} with all it has? This cannot be undone.", yes=yes)

    async def on_files(ctx: AppContext) -> None:
        from pds.lifecycle.states import delete_account

        await delete_account(ctx, target.did)

    body = {"did": target.did}
    target.change("com.atproto.admin.deleteAccount", body, on_files=on_files)
    if as_json:
        print_json({"did": target.did, "handle": target.account.handle, "status": "deleted"})
    else:
        say(f"{target.name} is deleted.")
