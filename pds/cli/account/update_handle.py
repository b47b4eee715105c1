"""`pds account update-handle`."""

from __future__ import annotations

from pathlib import Path

import click

from pds.cli.account.changing import Target, account_options


@click.command("update-handle")
@account_options
@click.argument("handle")
def update_handle(account: str, handle: str, as_json: bool, env_file: Path | None) -> None:
    """Change an account's handle; reserved handles are allowed.

    A handle outside the server's own domains must already resolve to the account's DID. Behind an
    entryway, the DID must already name the handle, since only the entryway can change it.

    \b
    Examples:
      pds account update-handle alice.example.com alicia.example.com
      pds account update-handle did:plc:ewvi7nxzyoun6zhxrhs64oiz www.alice.net
    """
    target = Target.find(account, env_file)
    body = {"did": target.did, "handle": handle}
    target.change("com.atproto.admin.updateAccountHandle", body)
    target.report(f"{target.name} is now {handle.lower()}.", as_json=as_json)
