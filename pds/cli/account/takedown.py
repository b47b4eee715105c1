"""`pds account takedown`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pds.cli.account.changing import Target, account_options
from pds.cli.takedowns import reason_option, takedown_text

if TYPE_CHECKING:
    from pds.context import AppContext


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

    async def on_files(ctx: AppContext) -> None:
        from pds.lifecycle import states as lifecycle

        await lifecycle.takedown(ctx, target.did, ref=ref)

    applied = {"applied": True, **({} if ref is None else {"ref": ref})}
    target.change_status({"takedown": applied}, on_files=on_files)
    before = target.account.takedown_ref
    target.report(takedown_text(target.name, before=before), as_json=as_json)
