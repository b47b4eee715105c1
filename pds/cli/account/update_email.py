"""`pds account update-email`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pds.cli.account.changing import Target, account_options
from pds.cli.entryway import refuse_on_files

if TYPE_CHECKING:
    from pds.context import AppContext


@click.command("update-email")
@account_options
@click.argument("email")
def update_email(account: str, email: str, as_json: bool, env_file: Path | None) -> None:
    """Give an account another email address.

    The address counts as not confirmed; codes that were sent to the old one are void.

    \b
    Examples:
      pds account update-email alice.example.com alice@example.net
    """
    target = Target.find(account, env_file)

    async def on_files(ctx: AppContext) -> None:
        from pds.accounts.email_rules import check_email

        refuse_on_files(target.settings, "addresses")
        await ctx.accounts.emails.update(target.did, check_email(email))

    body = {"account": target.did, "email": email}
    target.change("com.atproto.admin.updateAccountEmail", body, on_files=on_files)
    target.report(f"The address of {target.name} is now {email.lower()}.", as_json=as_json)
