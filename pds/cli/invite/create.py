"""`pds invite create`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from pds.cli.entryway import refuse_behind_entryway
from pds.cli.environment import env_file_option, explain_failures, load_settings
from pds.cli.operator import operate
from pds.cli.output import json_lines_option, print_json
from pds.cli.service_database import get_account, reading_accounts


@click.command()
@click.option(
    "--uses",
    default=1,
    show_default=True,
    type=click.IntRange(1, 1_000_000),
    help="How many accounts each code is good for.",
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
    """Create invite codes and print them.

    The running server does it, or the command itself on the files if no server runs.

    \b
    Examples:
      pds invite create
      pds invite create --uses 10 --env-file /pds/pds.env
      pds invite create --count 3 --for alice.example.com
    """
    settings = load_settings(env_file)
    refuse_behind_entryway(settings, "invite codes")
    body: dict[str, Any] = {"codeCount": count, "useCount": uses}
    if account is not None:
        with reading_accounts(settings) as db:
            body["forAccounts"] = [get_account(db, account).did]
    answer = operate(
        settings, lambda server: server.call("com.atproto.server.createInviteCodes", body)
    )
    (made,) = answer["codes"]
    for code in made["codes"]:
        if as_json:
            print_json({"code": code, "uses": uses})
        else:
            click.echo(code)
