"""Damaged accounts, as far as a command can tell quickly, even while the server runs."""

from __future__ import annotations

from typing import Final

from actor_store.errors import InvalidStoreName
from actor_store.layout import ActorLayout
from database.connection import Database
from database.errors import (
    DatabaseBusy,
    DatabaseError,
    DatabaseFull,
    DatabaseMissing,
    DatabaseOutOfFiles,
)
from pds.accounts.account import ActorAccount
from pds.config import Settings
from pds.doctor.inspection import examine_unchanged
from pds.pending.journal import read_damaged

_KEY_BYTES: Final = 32
_HEAD_BLOCK: Final = (
    "SELECT repo_block.cid FROM repo_root JOIN repo_block ON repo_block.cid = repo_root.cid"
)


class Damage:
    """What the server has found damaged, and what a quick check of the files shows.

    Only `pds doctor` reads the files to the end.
    """

    def __init__(self, settings: Settings, accounts: Database) -> None:
        """`accounts` is the service database."""
        self._layout = ActorLayout(settings.actors_directory)
        self._noticed = read_damaged(accounts)

    def find(self, did: str) -> str | None:
        """Return why the account is not served, or not in full; None if nothing seems wrong."""
        return self._look(did) or self._noticed_by_server(did)

    def _look(self, did: str) -> str | None:
        try:
            store = self._layout.store(did)
        except InvalidStoreName as exc:
            return str(exc)
        try:
            has_head = examine_unchanged(store, lambda db: db.one(_HEAD_BLOCK) is not None)
        except DatabaseMissing:
            return f"{store}: there is no such file"
        except (DatabaseBusy, DatabaseFull, DatabaseOutOfFiles):
            return None  # A passing condition, which says nothing about the file.
        except DatabaseError as exc:
            return f"{store}: {exc.reason}"
        if not has_head:
            return f"{store}: the current commit is missing"
        key = self._layout.key(did)
        if not key.is_file() or key.stat().st_size != _KEY_BYTES:
            return f"{key}: no signing key of {_KEY_BYTES} bytes"
        return None

    def _noticed_by_server(self, did: str) -> str | None:
        if did not in self._noticed:
            return None
        reason = self._noticed[did] or "its store could not be read"
        return f"the server has found: {reason}"


def status_text(account: ActorAccount, damage: str | None) -> str:
    """Return the account's status, and whether its files are damaged."""
    return account.status if damage is None else f"{account.status}, damaged"
