"""`pds invite`: invite codes."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click
import orjson

from pds.accounts.invites import ADMIN
from pds.cli.environment import env_file_option, explain_failures, load_settings
from pds.cli.operator import on_server_or_files
from pds.config import Settings

if TYPE_CHECKING:
    from pds.cli.running_server import RunningServer
    from pds.context import AppContext


@click.group()
def invite() -> None:
    """Make invite codes.

    \b
    Examples:
      pds invite create --uses 5
    """


@invite.command()
@click.option(
    "--uses",
    default=1,
    show_default=True,
    type=click.IntRange(1, 1_000_000),
    help="How many accounts the code is good for.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@env_file_option
@explain_failures
def create(uses: int, as_json: bool, env_file: Path | None) -> None:
    """Make an invite code and print it.

    Asks the running server to do it, or works on its files if none runs.

    \b
    Examples:
      pds invite create
      pds invite create --uses 10 --env-file /pds/pds.env
    """
    code = asyncio.run(create_invite(load_settings(env_file), uses=uses))
    click.echo(orjson.dumps({"code": code, "uses": uses}) if as_json else code)


async def create_invite(settings: Settings, *, uses: int) -> str:
    """Make a code for `uses` accounts."""

    async def running(server: RunningServer) -> str:
        answer = await server.call(
            "com.atproto.server.createInviteCode", {"useCount": uses}, as_admin=True
        )
        return str(answer["code"])

    async def stopped(ctx: AppContext) -> str:
        codes = await ctx.accounts.create_invite_codes([ADMIN], count=1, uses=uses)
        return codes[ADMIN][0]

    return await on_server_or_files(settings, running=running, stopped=stopped)
