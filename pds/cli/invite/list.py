"""`pds invite list`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click

from pds.accounts.account_store import AccountStore
from pds.accounts.invite_codes import InviteCode, InviteReader
from pds.cli.environment import env_file_option, explain_failures, load_settings
from pds.cli.output import json_lines_option, print_json, print_table
from pds.cli.service_database import reading_accounts
from pds.reporting import counted

_PAGE: Final = 500


@click.command("list")
@click.option("--usable", is_flag=True, help="Leave out codes that are disabled or used up.")
@json_lines_option
@env_file_option
@explain_failures
def list_codes(usable: bool, as_json: bool, env_file: Path | None) -> None:
    """List all invite codes, newest first. Works while the server runs.

    \b
    Examples:
      pds invite list
      pds invite list --usable --json | jq -r .code
    """
    with reading_accounts(load_settings(env_file)) as db:
        codes = (
            code
            for code in _iter_codes(InviteReader(db))
            if not usable or not (code.disabled or code.used_up)
        )
        if as_json:
            for code in codes:
                print_json(code.to_json())
            return
        listed = list(codes)
        owners = AccountStore(db).find_many(sorted({code.for_account for code in listed}))
    # People know accounts by their handles.
    handles = {did: owner.shown_handle for did, owner in owners.items()}
    rows = [
        (
            code.code,
            handles.get(code.for_account, code.for_account),
            uses_text(code),
            code.created_at,
        )
        for code in listed
    ]
    print_table(counted(len(rows), "invite code"), ("Code", "For", "Uses", "Created"), rows)


def uses_text(code: InviteCode) -> str:
    """Return how much of a code is used, for people, such as `1 of 5 used`."""
    text = f"{len(code.uses)} of {code.available} used"
    return f"{text}, disabled" if code.disabled else text


def _iter_codes(invites: InviteReader) -> Iterator[InviteCode]:
    cursor = None
    while True:
        page, cursor = invites.page("recent", limit=_PAGE, cursor=cursor)
        yield from page
        if cursor is None:
            return
