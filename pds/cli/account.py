"""`pds account`: the accounts of this server."""

from __future__ import annotations

import asyncio
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
import orjson
from rich.console import Console
from rich.table import Table

from database.connection import open_database
from pds.accounts.account import ActorAccount
from pds.accounts.account_store import AccountStore
from pds.accounts.email_rules import check_email
from pds.accounts.errors import EmailTaken, HandleTaken
from pds.accounts.handle_rules import check_handle
from pds.cli.environment import env_file_option, explain_failures, load_settings
from pds.cli.invite import create_invite
from pds.cli.operator import on_server_or_files
from pds.config import Settings

if TYPE_CHECKING:
    from pds.cli.running_server import RunningServer
    from pds.context import AppContext

_PIPE_WIDTH: Final = 1_000


@click.group()
def account() -> None:
    """Create and list accounts.

    \b
    Examples:
      pds account create alice@example.com alice.example.com
      pds account list
    """


@account.command()
@click.argument("email")
@click.argument("handle")
@click.option("--password", help="The account's password; generated and printed if not given.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@env_file_option
@explain_failures
def create(
    email: str, handle: str, password: str | None, as_json: bool, env_file: Path | None
) -> None:
    """Create an account; no invite code is needed.

    Asks the running server to do it, or works on its files if none runs.

    \b
    Examples:
      pds account create alice@example.com alice.example.com
      pds account create bob@example.com bob.test --env-file data/dev.env
    """
    settings = load_settings(env_file)
    chosen = password or secrets.token_urlsafe(18)
    did = asyncio.run(_create(settings, email=email, handle=handle, password=chosen))
    created = {"handle": handle.lower(), "did": did}
    if password is None:
        created["password"] = chosen
    if as_json:
        click.echo(orjson.dumps(created))
    else:
        for name, value in created.items():
            click.echo(f"{name + ':':9} {value}")


@account.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, one account a line.")
@env_file_option
@explain_failures
def list_accounts(as_json: bool, env_file: Path | None) -> None:
    """List all accounts, oldest first. Works while the server runs.

    \b
    Examples:
      pds account list
      pds account list --json | jq -r .did
    """
    path = load_settings(env_file).account_db_path
    if not path.exists():
        raise click.ClickException(f"There is no service database at {path} yet.")
    db = open_database(path, create=False, read_only=True)
    try:
        accounts = AccountStore(db).iter_all()
        if as_json:
            for one in accounts:
                click.echo(orjson.dumps(_as_json(one)))
        else:
            _print_table(list(accounts))
    finally:
        db.close()


async def _create(settings: Settings, *, email: str, handle: str, password: str) -> str:
    async def running(server: RunningServer) -> str:
        body = {"email": email, "handle": handle, "password": password}
        if settings.invites.required:
            body["inviteCode"] = await create_invite(settings, uses=1)
        answer = await server.call("com.atproto.server.createAccount", body, as_admin=False)
        return str(answer["did"])

    async def stopped(ctx: AppContext) -> str:
        from pds.signup import Signup, create_account

        checked = check_handle(handle, settings.service_handle_domains, did_known=False)
        # Looked at before a DID is made in vain.
        if ctx.accounts.find_account(checked.handle, include_inactive=True):
            raise HandleTaken(checked.handle)
        if ctx.accounts.find_account_by_email(email, include_inactive=True):
            raise EmailTaken
        session = await create_account(ctx, Signup(checked, check_email(email), password))
        return session.did

    return await on_server_or_files(settings, running=running, stopped=stopped)


def _as_json(one: ActorAccount) -> dict[str, object]:
    return {
        "did": one.did,
        "handle": one.handle,
        "email": one.email,
        "status": one.status,
        "createdAt": one.created_at,
    }


def _print_table(accounts: list[ActorAccount]) -> None:
    noun = "account" if len(accounts) == 1 else "accounts"
    table = Table(title=f"{len(accounts)} {noun}", title_justify="left")
    for column in ("Handle", "DID", "Email", "Status", "Created"):
        table.add_column(column, overflow="fold")
    for one in accounts:
        table.add_row(one.handle, one.did, one.email, one.status, one.created_at)
    # Only a terminal has an edge to fold at: in a pipe every account stays on one line.
    Console(width=None if sys.stdout.isatty() else _PIPE_WIDTH).print(table)
