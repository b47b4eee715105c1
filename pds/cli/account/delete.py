"""`pds account delete`."""

from __future__ import annotations

from pathlib import Path

import click

from pds.cli.account.changing import Target, account_options
from pds.cli.confirmation import confirm, yes_option
from pds.cli.output import print_json, say


@click.command()
@account_options
@yes_option
def delete(account: str, yes: bool, as_json: bool, env_file: Path | None) -> None:
    """Delete an account with its repository, blobs and events.

    This cannot be undone. The DID stays with its user, who may take it to another server.

    \b
    Examples:
      pds account delete alice.example.com
      pds account delete did:plc:ewvi7nxzyoun6zhxrhs64oiz --yes
    """
    target = Target.find(account, env_file)
    confirm(f"Delete {target.name} with all it has? This cannot be undone.", yes=yes)
    body = {"did": target.did}
    target.change("com.atproto.admin.deleteAccount", body)
    if as_json:
        print_json({"did": target.did, "handle": target.account.handle, "status": "deleted"})
    else:
        say(f"{target.name} is deleted.")
