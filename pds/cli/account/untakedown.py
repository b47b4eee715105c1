"""`pds account untakedown`."""

from __future__ import annotations

from pathlib import Path

import click

from pds.cli.account.changing import Target, account_options


@click.command()
@account_options
def untakedown(account: str, as_json: bool, env_file: Path | None) -> None:
    """Reverse a takedown. Sessions that it ended stay ended.

    \b
    Examples:
      pds account untakedown alice.example.com
    """
    target = Target.find(account, env_file)
    target.change_status({"takedown": {"applied": False}})
    target.report(f"{target.name} is no longer taken down.", as_json=as_json)
