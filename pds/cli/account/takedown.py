"""`pds account takedown`."""

from __future__ import annotations

from pathlib import Path

import click

from pds.cli.account.changing import Target, account_options
from pds.cli.takedowns import reason_option, takedown_text


@click.command()
@account_options
@reason_option
def takedown(account: str, ref: str | None, as_json: bool, env_file: Path | None) -> None:
    """Take an account down: hide it and end its sessions.

    Nothing is deleted; `pds account untakedown` brings all of it back.

    \b
    Examples:
      pds account takedown spam.example.com --ref "report 17"
    """
    target = Target.find(account, env_file)
    applied = {"applied": True, **({} if ref is None else {"ref": ref})}
    target.change_status({"takedown": applied})
    before = target.account.takedown_ref
    target.report(takedown_text(target.name, before=before), as_json=as_json)
