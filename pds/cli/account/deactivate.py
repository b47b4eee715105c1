"""`pds account deactivate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pds.cli.account.changing import Target, account_options

if TYPE_CHECKING:
    from pds.context import AppContext


@click.command()
@account_options
def deactivate(account: str, as_json: bool, env_file: Path | None) -> None:
    """Hide an account until it is activated. Its user goes on having sessions.

    \b
    Examples:
      pds account deactivate alice.example.com
    """
    target = Target.find(account, env_file)

    async def on_files(ctx: AppContext) -> None:
        from pds.lifecycle import states as lifecycle

        await lifecycle.deactivate(ctx, target.did)

    target.change_status({"deactivated": {"applied": True}}, on_files=on_files)
    target.report(f"{target.name} is deactivated.", as_json=as_json)
