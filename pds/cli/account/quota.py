"""`pds account quota`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from pds.cli.account.changing import Target, account_options
from pds.cli.operator import operate
from pds.cli.output import print_fields, print_json
from pds.cli.service_database import reading_accounts
from pds.reporting import format_size, parse_size

if TYPE_CHECKING:
    from pds.repos.usage import AccountUsage

_NO_LIMIT: Final = "none"
_DEFAULT: Final = "default"


@click.command()
@account_options
@click.argument("size", required=False, metavar="[SIZE|none|default]")
def quota(account: str, size: str | None, as_json: bool, env_file: Path | None) -> None:
    """Show or set how much space an account may use, database and blobs together.

    SIZE is a number of bytes, or a size such as 500MB or 2.5GiB; with 0 the account can add
    nothing more. none removes any limit, default restores the quota of PDS_ACCOUNT_QUOTA_BYTES.

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


def _parse(text: str) -> int | str | None:
    """Parse a quota for the server: None is the default quota. Raises `click.UsageError`."""
    if text.lower() == _DEFAULT:
        return None
    if text.lower() == _NO_LIMIT:
        return _NO_LIMIT
    try:
        return parse_size(text)
    except ValueError as exc:
        raise click.UsageError(f"{exc}, nor none or default.") from exc


def _set(target: Target, wanted: int | str | None) -> None:
    body = {"quotaBytes": wanted}
    operate(
        target.settings,
        lambda server: server.ask(
            "PUT", "/_holdfast/quota/{account}", names={"account": target.did}, body=body
        ),
    )


def _read(target: Target) -> AccountUsage:
    from pds.cli.account.usage import UsageFiles  # It imports the repository formats.

    with reading_accounts(target.settings) as db:
        return UsageFiles(target.settings, db).read(target.account)


def _fields(usage: AccountUsage) -> Iterator[tuple[str, object]]:
    from pds.cli.account.usage import quota_text

    yield "Account", f"{usage.account.shown_handle} ({usage.account.did})"
    yield "Quota", quota_text(usage)
    if usage.usage is None:
        yield "Used", "unknown, because its files cannot be read"
        return
    database, blobs = usage.usage.database_bytes, usage.usage.blob_bytes
    yield (
        "Used",
        (
            f"{format_size(usage.usage.used_bytes)} ({format_size(database)} of records, "
            f"{format_size(blobs)} of blobs)"
        ),
    )
