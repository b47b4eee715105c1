"""`pds key rotate-plc`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from pds.cli.entryway import refuse_behind_entryway
from pds.cli.environment import env_file_option, explain_failures, load_settings
from pds.cli.failures import CommandFailed
from pds.cli.output import json_lines_option, print_json, say
from pds.cli.progress import progress_bars
from pds.cli.service_database import reading_accounts
from pds.reporting import counted
from repo.keys import InvalidKey, K256PrivateKey

if TYPE_CHECKING:
    from pds.accounts.account import ActorAccount
    from pds.config import Settings
    from pds.reporting import Progress

_TIMEOUT_MS: Final = 10_000
_FAILED: Final = "failed"
_ODD: Final[dict[str, str]] = {
    "not listed": "lists neither key",
    "no such DID": "is not in the PLC directory",
}


@click.command("rotate-plc")
@click.option(
    "--old-key-file",
    "old_key_file",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="A file with the old key, 64 hex digits.",
)
@json_lines_option
@env_file_option
@explain_failures
def rotate_plc(old_key_file: Path, as_json: bool, env_file: Path | None) -> None:
    """Replace the server's old rotation key with the new one, in every DID.

    The new key is that of PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX, with which the server has been
    restarted; the old one signs the changes. DIDs that are done stay as they are, so repeat the
    command if some fail. Keep the old key until none fails: without it, only owners of recovery
    keys can change those DIDs. Works while the server runs.

    \b
    Examples:
      pds key rotate-plc --old-key-file old.key
      pds key rotate-plc --old-key-file old.key --json | jq 'select(.outcome == "failed")'
    """
    settings = load_settings(env_file)
    refuse_behind_entryway(settings, "rotation keys")
    old, new = _read_key(old_key_file), K256PrivateKey.from_bytes(settings.plc_rotation_key)
    if old.did_key == new.did_key:
        raise CommandFailed(
            f"{old_key_file} has the key of PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX itself. Put "
            "a new key there first, and restart the server."
        )
    # Read at once, since changing each DID takes some tenths of a second.
    with reading_accounts(settings) as db:
        from pds.accounts.account_store import AccountStore

        accounts = [one for one in AccountStore(db).iter_all() if one.did.startswith("did:plc:")]
    with progress_bars() as progress:
        outcomes = asyncio.run(_rotate(settings, accounts, old, new, progress))
    _report(accounts, outcomes, as_json=as_json)


async def _rotate(
    settings: Settings,
    accounts: list[ActorAccount],
    old: K256PrivateKey,
    new: K256PrivateKey,
    progress: Progress,
) -> list[tuple[str, str | None]]:
    """Return the outcome for each account, with the reason if it failed."""
    from identity.http import SafeHttp
    from identity.plc import PlcClient, PlcError
    from pds.lifecycle.key_rotation import replace_rotation_key

    http = SafeHttp(allow_private=not settings.ssrf_protection, timeout_ms=_TIMEOUT_MS)
    plc = PlcClient(settings.identity.plc_url, http)
    outcomes: list[tuple[str, str | None]] = []
    try:
        for account in accounts:
            # One after the other, to spare the directory, which is shared by everyone.
            try:
                outcome = await replace_rotation_key(plc, account.did, old=old, new=new)
                outcomes.append((outcome, None))
            except PlcError as exc:
                outcomes.append((_FAILED, exc.message))
            progress("DIDs", len(outcomes), len(accounts))
    finally:
        await http.close()
    return outcomes


def _report(
    accounts: Iterable[ActorAccount], outcomes: list[tuple[str, str | None]], *, as_json: bool
) -> None:
    counts = Counter(outcome for outcome, _ in outcomes)
    for account, (outcome, reason) in zip(accounts, outcomes, strict=True):
        if as_json:
            print_json({"did": account.did, "outcome": outcome, "reason": reason})
        elif outcome == _FAILED:
            say(f"{account.did} ({account.shown_handle}): {reason}")
        elif outcome in _ODD:
            say(f"{account.did} ({account.shown_handle}): {_ODD[outcome]}")
    if not as_json:
        say(
            f"{counted(counts['replaced'], 'DID')} changed, {counts['had it']} had the new key, "
            f"{sum(counts[odd] for odd in _ODD)} are not this server's to change, "
            f"{counts[_FAILED]} failed."
        )
    if counts[_FAILED]:
        raise CommandFailed("Not all could be changed. Keep the old key, and repeat the command.")


def _read_key(path: Path) -> K256PrivateKey:
    try:
        return K256PrivateKey.from_bytes(bytes.fromhex(path.read_text("ascii").strip()))
    except (InvalidKey, ValueError) as exc:
        raise CommandFailed(
            f"{path} has no key: it must contain the 64 hex digits of the old setting."
        ) from exc
