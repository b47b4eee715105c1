"""The service database, read by a command that only looks: also while the server runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

from database.connection import Database, open_database
from pds.accounts.account import ActorAccount
from pds.accounts.account_store import AccountStore
from pds.cli.operator import OperatorError
from pds.config import Settings


@contextmanager
def reading_accounts(settings: Settings) -> Iterator[Database]:
    """The database, read only. Raises `OperatorError` if there is none, and `DatabaseError`."""
    path = settings.account_db_path
    if not path.exists():
        raise OperatorError(f"There is no service database at {path} yet.")
    with closing(open_database(path, create=False, read_only=True)) as db:
        yield db


def get_account(db: Database, identifier: str) -> ActorAccount:
    """The account of a DID or handle, in any state. Raises `OperatorError`."""
    store = AccountStore(db)
    find = store.find if identifier.startswith("did:") else store.find_by_handle
    account = find(identifier, include_takendown=True, include_deactivated=True)
    if account is None:
        raise OperatorError(
            f"There is no account {identifier} on this server. `pds account list` shows all."
        )
    return account
