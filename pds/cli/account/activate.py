"""`pds account activate`."""

from __future__ import annotations

from pathlib import Path

import click

from pds.cli.account.changing import Target, account_options
from pds.cli.failures import CommandFailed


@click.command()
@account_options
def activate(account: str, as_json: bool, env_file: Path | None) -> None:
    """End a deactivation, if the account's DID points to this server.

    A takedown must be reversed first.

    \b
    Examples:
      pds account activate alice.example.com
    """
    target = Target.find(account, env_file)
    if target.account.takedown_ref is not None:
        raise CommandFailed(
            f"{target.name} is taken down. Reverse that first.",
            remedy=f"pds account untakedown {target.did}",
        )

    target.change_status({"deactivated": {"applied": False}})
    target.report(f"{target.name} is active.", as_json=as_json)
