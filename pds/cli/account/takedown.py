"""`pds account takedown`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pds.cli.account.changing import Target, account_options

if TYPE_CHECKING:
    from pds.context import AppContext


@click.command()
@account_options
@click.option("--ref", help="Why: kept with the account; by default the time.")
def takedown(account: str, ref: str | None, as_json: bool, env_file: Path | None) -> None:
    """Take an account down: hide it and end its sessions.

    Nothing is deleted; `pds account untakedown` brings all of it back.

    \b
    Examples:
      pds account takedown spam.example.com --ref "report 17"
    """
    target = Target.find(account, env_file)

    async def on_files(ctx: AppContext) -> None:
        from pds import lifecycle

        await lifecycle.takedown(ctx, target.did, ref=ref)

    applied = {"applied": True, **({} if ref is None else {"ref": ref})}
    target.change_status({"takedown": applied}, on_files=on_files)
    target.report(f"{target.name} is taken down.", as_json=as_json)
