"""`pds account deactivate`."""

from __future__ import annotations

from pathlib import Path

import click

from pds.cli.account.changing import Target, account_options


@click.command()
@account_options
def deactivate(account: str, as_json: bool, env_file: Path | None) -> None:
    """Hide an account until it is activated. Its user can still log in.

    \b
    Examples:
      pds account deactivate alice.example.com
    """
    target = Target.find(account, env_file)
    target.change_status({"deactivated": {"applied": True}})
    target.report(f"{target.name} is deactivated.", as_json=as_json)
