"""`pds invite`: invite codes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from pds.accounts.invites import ADMIN
from pds.cli.environment import env_file_option, explain_failures, load_settings
from pds.cli.operator import RunningServer, on_server_or_files
from pds.config import Settings
from pds.context import AppContext


@click.group()
def invite() -> None:
    """Make invite codes."""


@invite.command()
@click.option("--uses", default=1, show_default=True, type=click.IntRange(1, 1_000_000))
@env_file_option
@explain_failures
def create(uses: int, env_file: Path | None) -> None:
    """Make an invite code and print it.

    \b
    Examples:
      pds invite create
      pds invite create --uses 10 --env-file /pds/pds.env
    """
    click.echo(asyncio.run(create_invite(load_settings(env_file), uses=uses)))


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
