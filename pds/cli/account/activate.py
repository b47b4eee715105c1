"""`pds account activate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pds.cli.account.changing import Target, account_options
from pds.cli.failures import CommandFailed

if TYPE_CHECKING:
    from pds.context import AppContext


@click.command()
@account_options
def activate(account: str, as_json: bool, env_file: Path | None) -> None:
    """End a deactivation, if the account's DID leads to this server.

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

    async def on_files(ctx: AppContext) -> None:
        from pds.lifecycle import states as lifecycle

        await lifecycle.activate(ctx, target.did)

    target.change_status({"deactivated": {"applied": False}}, on_files=on_files)
    target.report(f"{target.name} is active.", as_json=as_json)
