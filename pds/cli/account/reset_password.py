"""`pds account reset-password`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pds.accounts.codes import new_password
from pds.cli.account.changing import Target, account_options
from pds.cli.account.create import password_option
from pds.cli.entryway import refuse_on_files
from pds.cli.output import print_object

if TYPE_CHECKING:
    from pds.context import AppContext


@click.command("reset-password")
@account_options
@password_option
def reset_password(
    account: str, password: str | None, as_json: bool, env_file: Path | None
) -> None:
    """Give an account another password, and end its sessions.

    \b
    Examples:
      pds account reset-password alice.example.com
      pds account reset-password did:plc:ewvi7nxzyoun6zhxrhs64oiz --json | jq -r .password
    """
    target = Target.find(account, env_file)
    chosen = password or new_password()

    async def on_files(ctx: AppContext) -> None:
        refuse_on_files(target.settings, "passwords")
        await ctx.accounts.passwords.update(target.did, chosen)

    body = {"did": target.did, "password": chosen}
    target.change("com.atproto.admin.updateAccountPassword", body, on_files=on_files)
    result = {"handle": target.account.shown_handle, "did": target.did}
    if password is None:
        result["password"] = chosen
    print_object(result, as_json=as_json)
