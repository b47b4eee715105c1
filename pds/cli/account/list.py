"""`pds account list`."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Final

import click

from pds.accounts.account_store import AccountStore
from pds.cli.account.damage import Damage, status_text
from pds.cli.environment import env_file_option, explain_failures, load_settings
from pds.cli.output import json_lines_option, print_json, print_table
from pds.cli.service_database import account_json, reading_accounts
from pds.reporting import counted

_COLUMNS: Final = ("Handle", "DID", "Email", "Status", "Created")
_ROWS_AT_ONCE: Final = 1_000
"""Rows of one table: one of a hundred thousand would take half a gigabyte."""


@click.command("list")
@click.option("--usage", is_flag=True, help="Show the space each account uses, and the total.")
@json_lines_option
@env_file_option
@explain_failures
def list_accounts(usage: bool, as_json: bool, env_file: Path | None) -> None:
    """List all accounts, oldest first. Works while the server runs.

    An account counts as damaged if a quick check of its files shows damage, or if the server has
    come across it; `pds doctor` reads the files to the end.

    \b
    Examples:
      pds account list
      pds account list --json | jq -r .did
      pds account list --json | jq 'select(.damage != null)'
      pds account list --usage
      pds account list --usage --json | jq 'select(.usedBytes > 1e9) | .handle'
    """
    settings = load_settings(env_file)
    with reading_accounts(settings) as db:
        if usage:
            from pds.cli.account.usage import list_usage  # It imports more than the list needs.

            list_usage(settings, db, as_json=as_json)
            return
        damage = Damage(settings, db)
        found = ((one, damage.find(one.did)) for one in AccountStore(db).iter_all())
        if as_json:
            for one, fault in found:
                print_json({**account_json(one), "damage": fault})
            return
        rows = (
            (one.handle, one.did, one.email, status_text(one, fault), one.created_at)
            for one, fault in found
        )
        print_table(
            counted(AccountStore(db).count(), "account"), _COLUMNS, islice(rows, _ROWS_AT_ONCE)
        )
        while part := list(islice(rows, _ROWS_AT_ONCE)):
            print_table("", _COLUMNS, part)
