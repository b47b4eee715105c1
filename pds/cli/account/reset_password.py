"""`pds account reset-password`."""

from __future__ import annotations

from pathlib import Path

import click

from pds.accounts.codes import new_password
from pds.cli.account.changing import Target, account_options
from pds.cli.account.create import password_option
from pds.cli.output import print_object


@click.command("reset-password")
@account_options
@password_option
def reset_password(
    account: str, password: str | None, as_json: bool, env_file: Path | None
) -> None:
    """Set a new password for an account, and end its sessions.

    \b
    Examples:
      pds account reset-password alice.example.com
      pds account reset-password did:plc:ewvi7nxzyoun6zhxrhs64oiz --json | jq -r .password
    """
    target = Target.find(account, env_file)
    chosen = password or new_password()

    body = {"did": target.did, "password": chosen}
    nsid = "com.atproto.admin.updateAccountPassword"
    target.change(nsid, body, asks_entryway_for="passwords")
    result = {"handle": target.account.shown_handle, "did": target.did}
    if password is None:
        result["password"] = chosen
    print_object(result, as_json=as_json)
