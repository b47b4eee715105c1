"""`pds account update-email`."""

from __future__ import annotations

from pathlib import Path

import click

from pds.cli.account.changing import Target, account_options


@click.command("update-email")
@account_options
@click.argument("email")
def update_email(account: str, email: str, as_json: bool, env_file: Path | None) -> None:
    """Change an account's email address.

    The new address counts as unconfirmed; codes sent to the old one become invalid.

    \b
    Examples:
      pds account update-email alice.example.com alice@example.net
    """
    target = Target.find(account, env_file)
    body = {"account": target.did, "email": email}
    target.change("com.atproto.admin.updateAccountEmail", body, asks_entryway_for="addresses")
    target.report(f"The address of {target.name} is now {email.lower()}.", as_json=as_json)
