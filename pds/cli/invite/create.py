"""`pds invite create`."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pds.accounts.invite_codes import ADMIN
from pds.cli.entryway import refuse_behind_entryway
from pds.cli.environment import env_file_option, explain_failures, load_settings
from pds.cli.operator import on_server_or_files
from pds.cli.output import json_lines_option, print_json
from pds.cli.service_database import get_account, reading_accounts
from pds.config import Settings

if TYPE_CHECKING:
    from pds.cli.running_server import RunningServer
    from pds.context import AppContext


@click.command()
@click.option(
    "--uses",
    default=1,
    show_default=True,
    type=click.IntRange(1, 1_000_000),
    help="How many accounts a code is good for.",
)
@click.option(
    "--count",
    default=1,
    show_default=True,
    type=click.IntRange(1, 1_000),
    help="How many codes to make.",
)
@click.option(
    "--for",
    "account",
    metavar="ACCOUNT",
    help="The account to give them to: a handle, a DID or an email address.",
)
@json_lines_option
@env_file_option
@explain_failures
def create(
    uses: int, count: int, account: str | None, as_json: bool, env_file: Path | None
) -> None:
    """Make invite codes and print them.

    Asks the running server to do it, or works on its files if none runs.

    \b
    Examples:
      pds invite create
      pds invite create --uses 10 --env-file /pds/pds.env
      pds invite create --count 3 --for alice.example.com
    """
    settings = load_settings(env_file)
    refuse_behind_entryway(settings, "invite codes")
    owner = ADMIN
    if account is not None:
        with reading_accounts(settings) as db:
            owner = get_account(db, account).did
    for code in asyncio.run(create_invites(settings, uses=uses, count=count, owner=owner)):
        if as_json:
            print_json({"code": code, "uses": uses})
        else:
            click.echo(code)


async def create_invites(
    settings: Settings, *, uses: int, count: int = 1, owner: str = ADMIN
) -> list[str]:
    """Make codes for `uses` accounts each, to be given away by `owner`, a DID or `admin`."""

    async def running(server: RunningServer) -> list[str]:
        body: dict[str, Any] = {"codeCount": count, "useCount": uses}
        if owner != ADMIN:
            body["forAccounts"] = [owner]
        answer = await server.call("com.atproto.server.createInviteCodes", body, as_admin=True)
        (made,) = answer["codes"]
        return list(made["codes"])

    async def stopped(ctx: AppContext) -> list[str]:
        made = await ctx.accounts.invites.create([owner], count=count, uses=uses)
        return made[owner]

    return await on_server_or_files(settings, running=running, stopped=stopped)
