"""`pds account quota`."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import click

from pds.accounts.quotas import Quota
from pds.cli.account.changing import Target, account_options
from pds.cli.operator import on_server_or_files
from pds.cli.output import print_fields, print_json
from pds.cli.service_database import reading_accounts
from pds.cli.sizes import format_size, parse_size

if TYPE_CHECKING:
    from pds.cli.running_server import RunningServer
    from pds.context import AppContext
    from pds.repos.usage import AccountUsage

_NO_LIMIT: Final = "none"
_DEFAULT: Final = "default"


@click.command()
@account_options
@click.argument("size", required=False, metavar="[SIZE|none|default]")
def quota(account: str, size: str | None, as_json: bool, env_file: Path | None) -> None:
    """Show or set how much room an account may take, database and blobs together.

    SIZE is a number of bytes or such as 500MB or 2.5GiB; 0 lets the account add nothing more.
    none lifts any limit, default gives the account the quota of PDS_ACCOUNT_QUOTA_BYTES.

    \b
    Examples:
      pds account quota alice.example.com
      pds account quota alice.example.com 20GB
      pds account quota did:plc:ewvi7nxzyoun6zhxrhs64oiz default
    """
    target = Target.find(account, env_file)
    if size is not None:
        _set(target, _parse(size))
    usage = _read(target)
    if as_json:
        print_json(usage.to_json())
    else:
        print_fields(_fields(usage))


def _parse(text: str) -> Quota | None:
    """A quota; None stands for the default one. Raises `click.UsageError`."""
    if text.lower() == _DEFAULT:
        return None
    if text.lower() == _NO_LIMIT:
        return Quota(None)
    try:
        return Quota(parse_size(text))
    except ValueError as exc:
        raise click.UsageError(f"{exc}, nor none or default.") from exc


def _set(target: Target, wanted: Quota | None) -> None:
    limit = None if wanted is None else wanted.limit_bytes
    body = {"quotaBytes": _NO_LIMIT if wanted is not None and limit is None else limit}

    async def running(server: RunningServer) -> None:
        await server.put(f"/_holdfast/quota/{quote(target.did, safe=':')}", body)

    async def stopped(ctx: AppContext) -> None:
        await ctx.accounts.quotas.set(target.did, wanted)

    asyncio.run(on_server_or_files(target.settings, running=running, stopped=stopped))


def _read(target: Target) -> AccountUsage:
    from pds.cli.account.usage import UsageFiles  # With it come formats of repositories.

    with reading_accounts(target.settings) as db:
        return UsageFiles(target.settings, db).read(target.account)


def _fields(usage: AccountUsage) -> Iterator[tuple[str, object]]:
    from pds.cli.account.usage import quota_text

    yield "Account", f"{usage.account.shown_handle} ({usage.account.did})"
    yield "Quota", quota_text(usage)
    if usage.usage is None:
        yield "Used", "unknown, for its files cannot be read"
        return
    database, blobs = usage.usage.database_bytes, usage.usage.blob_bytes
    yield (
        "Used",
        (
            f"{format_size(usage.usage.used_bytes)} ({format_size(database)} of records, "
            f"{format_size(blobs)} of blobs)"
        ),
    )
