"""Read-only access to the service database, even while the server runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Final

import click

from database.connection import Database
from database.opening import open_database
from pds.accounts.account import ActorAccount
from pds.accounts.account_store import AccountStore
from pds.cli.failures import CommandFailed
from pds.config import Settings
from pds.disk.data_directory import refuse_standby

account_argument = click.argument("account", metavar="ACCOUNT")
"""What `get_account` looks an account up by."""
_ANY_STATE: Final = {"include_takendown": True, "include_deactivated": True}


@contextmanager
def reading_accounts(settings: Settings) -> Iterator[Database]:
    """Open the database read-only. Raises `CommandFailed` if there is none, `DatabaseError`.

    That of a standby is refused with `DirectoryIsStandby`, because it changes under its readers.
    """
    refuse_standby(settings.data_directory)
    path = settings.account_db_path
    if not path.exists():
        raise CommandFailed(f"There is no service database at {path} yet.", remedy="pds doctor")
    with closing(open_database(path, create=False, read_only=True)) as db:
        yield db


def get_account(db: Database, identifier: str) -> ActorAccount:
    """Find an account by DID, handle or email address, in any state. Raises `CommandFailed`."""
    store = AccountStore(db)
    account = (
        store.find(identifier, **_ANY_STATE)
        if identifier.startswith("did:")
        else store.find_by_email(identifier, **_ANY_STATE)
        if "@" in identifier
        else store.find_by_handle(identifier, **_ANY_STATE)
    )
    if account is None:
        raise CommandFailed(
            f"There is no account {identifier} on this server.", remedy="pds account list"
        )
    return account


def account_json(account: ActorAccount) -> dict[str, object]:
    """Return the fields of an account that the list and every change print."""
    return {
        "did": account.did,
        "handle": account.handle,
        "email": account.email,
        "status": account.status,
        "createdAt": account.created_at,
    }
