"""What the operator does with what was restored: sentences with commands that can be pasted."""

from __future__ import annotations

import shlex
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pds.disk.data_directory import CHECK_FILE

if TYPE_CHECKING:
    from pds.replication.restore.target import RestoreTarget

_BEFORE: Final = "before"
_MOST: Final = 5
"""How many accounts get commands of their own."""


def after_everything(target: RestoreTarget) -> list[str]:
    """Return what follows the restore of a whole server."""
    return [
        (
            "Next: `pds doctor --offline --blobs`, with the settings of the server and "
            f"PDS_DATA_DIRECTORY={_quoted(target.directory)}, checks every file."
        )
    ]


def after_accounts(dids: Collection[str], target: RestoreTarget, live: RestoreTarget) -> list[str]:
    """Return how to put accounts into the place of those of a server whose files are `live`."""
    shown = sorted(did for did in dids if target.layout.store(did).exists())[:_MOST]
    if not shown:
        return []
    commands = [command for did in shown for command in _commands(did, target, live)]
    commands.append(f"touch {_quoted(live.directory / CHECK_FILE)}")
    return [
        "To look at an account, open its store.sqlite with `sqlite3`.",
        (
            "To put it in the place of the one that the server has, stop the server and what "
            "replicates it, and run as the server's user:"
        ),
        *(f"  {command}" for command in commands),
        (
            "Then start both. The server compares the accounts with its event log, and tells "
            "consumers what has changed."
        ),
    ]


def _commands(did: str, target: RestoreTarget, live: RestoreTarget) -> list[str]:
    new, old = target.layout.directory(did), live.layout.directory(did)
    before = target.directory / _BEFORE
    commands = [
        f"mkdir -p {_quoted(before)} {_quoted(old.parent)}",
        f"mv {_quoted(old)} {_quoted(before)}/",
        f"cp -a {_quoted(new)} {_quoted(old.parent)}/",
    ]
    if not target.layout.key(did).exists():
        commands.append(f"cp -a {_quoted(before / did / 'key')} {_quoted(old)}/")
    if target.blobs is not None and live.blobs is not None and (target.blobs / did).is_dir():
        commands.append(f"cp -a --no-clobber {_quoted(target.blobs / did)} {_quoted(live.blobs)}/")
    return commands


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))
