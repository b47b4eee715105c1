"""`pds invite disable`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from database.connection import Database
from pds.accounts.invite_codes import InviteReader
from pds.cli.entryway import refuse_behind_entryway
from pds.cli.environment import env_file_option, explain_failures, load_settings
from pds.cli.failures import CommandFailed
from pds.cli.operator import operate
from pds.cli.output import json_option, print_json
from pds.cli.service_database import get_account, reading_accounts
from pds.reporting import counted


@click.command()
@click.argument("codes", nargs=-1, metavar="[CODE]...")
@click.option(
    "--of",
    "accounts",
    multiple=True,
    metavar="ACCOUNT",
    help="Disable all codes of this account: a handle, a DID or an email address; may be repeated.",
)
@json_option
@env_file_option
@explain_failures
def disable(
    codes: tuple[str, ...], accounts: tuple[str, ...], as_json: bool, env_file: Path | None
) -> None:
    """Disable invite codes, so that no more accounts are created with them.

    Accounts created with them stay as they are. A code cannot be enabled again; create another
    one.

    \b
    Examples:
      pds invite disable pds-example-com-jrsgi-2bzdu
      pds invite disable --of spam.example.com
    """
    if not codes and not accounts:
        raise click.UsageError("Name a code, or an account with --of.")
    settings = load_settings(env_file)
    refuse_behind_entryway(settings, "invite codes")
    with reading_accounts(settings) as db:
        _ensure_known(db, codes)
        dids = [get_account(db, account).did for account in accounts]
        owned = [code.code for each in InviteReader(db).of_accounts(dids).values() for code in each]

    body = {"codes": list(codes), "accounts": dids}
    operate(settings, lambda server: server.call("com.atproto.admin.disableInviteCodes", body))
    disabled = sorted({*codes, *owned})
    if as_json:
        print_json({"disabled": disabled})
    else:
        click.echo(f"{counted(len(disabled), 'code')} disabled.")


def _ensure_known(db: Database, codes: Sequence[str]) -> None:
    unknown = sorted(set(codes) - InviteReader(db).known(codes))
    if unknown:
        raise CommandFailed(
            f"There is no invite code {', '.join(unknown)} on this server; nothing is disabled.",
            remedy="pds invite list",
        )
