"""`pds account update-handle`."""

from __future__ import annotations

from pathlib import Path

import click

from pds.cli.account.changing import Target, account_options


@click.command("update-handle")
@account_options
@click.argument("handle")
def update_handle(account: str, handle: str, as_json: bool, env_file: Path | None) -> None:
    """Give an account another handle, also a reserved one.

    A handle outside of the server's own domains must lead to the account's DID already. Behind an
    entryway the DID must name the handle already, for only the entryway can change it.

    \b
    Examples:
      pds account update-handle alice.example.com alicia.example.com
      pds account update-handle did:plc:ewvi7nxzyoun6zhxrhs64oiz www.alice.net
    """
    target = Target.find(account, env_file)
    body = {"did": target.did, "handle": handle}
    target.change("com.atproto.admin.updateAccountHandle", body)
    target.report(f"{target.name} is now {handle.lower()}.", as_json=as_json)
