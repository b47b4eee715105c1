"""`pds account`: the accounts of this server."""

from __future__ import annotations

import asyncio
import secrets
from pathlib import Path

import click
import orjson
from rich.console import Console
from rich.table import Table

from database.connection import open_database
from pds.accounts.account import ActorAccount
from pds.accounts.account_store import AccountStore
from pds.accounts.email_rules import check_email
from pds.accounts.handle_rules import check_handle
from pds.cli.environment import env_file_option, explain_failures, load_settings
from pds.cli.invite import create_invite
from pds.cli.operator import RunningServer, on_server_or_files
from pds.config import Settings
from pds.context import AppContext
from pds.signup import Signup, create_account


@click.group()
def account() -> None:
    """Create and list accounts."""


@account.command()
@click.argument("email")
@click.argument("handle")
@click.option("--password", help="The account's password; generated and printed if not given.")
@env_file_option
@explain_failures
def create(email: str, handle: str, password: str | None, env_file: Path | None) -> None:
    """Create an account; no invite code is needed.

    \b
    Examples:
      pds account create alice@example.com alice.example.com
      pds account create bob@example.com bob.test --env-file data/dev.env
    """
    settings = load_settings(env_file)
    chosen = password or secrets.token_urlsafe(18)
    did = asyncio.run(_create(settings, email=email, handle=handle, password=chosen))
    click.echo(f"handle:   {handle.lower()}\ndid:      {did}")
    if password is None:
        click.echo(f"password: {chosen}")


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
            Console().print(_as_table(list(accounts)))
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
        checked = check_handle(handle, settings.service_handle_domains, did_known=False)
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


def _as_table(accounts: list[ActorAccount]) -> Table:
    table = Table(title=f"{len(accounts)} accounts", title_justify="left")
    for column in ("Handle", "DID", "Email", "Status", "Created"):
        table.add_column(column, overflow="fold")
    for one in accounts:
        table.add_row(one.handle, one.did, one.email, one.status, one.created_at)
    return table
