"""`pds account untakedown`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pds.cli.account.changing import Target, account_options

if TYPE_CHECKING:
    from pds.context import AppContext


@click.command()
@account_options
def untakedown(account: str, as_json: bool, env_file: Path | None) -> None:
    """Reverse a takedown. Sessions that it ended stay ended.

    \b
    Examples:
      pds account untakedown alice.example.com
    """
    target = Target.find(account, env_file)

    async def on_files(ctx: AppContext) -> None:
        from pds.lifecycle import states as lifecycle

        await lifecycle.untakedown(ctx, target.did)

    target.change_status({"takedown": {"applied": False}}, on_files=on_files)
    target.report(f"{target.name} is no longer taken down.", as_json=as_json)
