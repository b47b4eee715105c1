"""The space that accounts use, read by commands from the files, even while the server runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from actor_store.blobs import BlobReader
from actor_store.errors import InvalidStoreName
from actor_store.layout import ActorLayout
from actor_store.records import RecordReader
from actor_store.usage import Usage, UsageReader
from database.connection import Database
from database.errors import DatabaseError
from pds.accounts.account import ActorAccount
from pds.accounts.account_store import AccountStore
from pds.accounts.quotas import Quota, read_own_quotas
from pds.cli.account.damage import Damage, status_text
from pds.cli.output import print_json, print_table
from pds.cli.service_database import account_json
from pds.config import Settings
from pds.doctor.inspection import examine_unchanged
from pds.reporting import counted, format_size
from pds.repos.usage import AccountUsage

_Found: TypeAlias = tuple[AccountUsage, str | None]
"""An account with the space it uses, and its damage, if any."""
_COLUMNS = ("Handle", "DID", "Status", "Used", "Quota", "Database", "Blobs", "Records", "Uploads")


class UsageFiles:
    """The actor stores of a data directory, read without changing them."""

    def __init__(self, settings: Settings, accounts: Database) -> None:
        """`accounts` is the service database."""
        self._layout = ActorLayout(settings.actors_directory)
        self._own_quotas = read_own_quotas(accounts)
        self._default = Quota(settings.service.account_quota_bytes)

    def read(self, account: ActorAccount) -> AccountUsage:
        """Return the usage of an account; unknown if its files cannot be read."""
        did = account.did
        own = self._own_quotas.get(did)
        return AccountUsage(
            account,
            self._find_usage(did),
            quota_bytes=(own or self._default).limit_bytes,
            quota_is_own=own is not None,
        )

    def _find_usage(self, did: str) -> Usage | None:
        def read(db: Database) -> Usage:
            return UsageReader(db, RecordReader(db, did), BlobReader(db)).read()

        try:
            return examine_unchanged(self._layout.store(did), read)
        except (DatabaseError, InvalidStoreName):
            return None


def list_usage(settings: Settings, accounts: Database, *, as_json: bool) -> None:
    """Print all accounts with the space they use, and the totals."""
    files, damage = UsageFiles(settings, accounts), Damage(settings, accounts)
    found = (
        (files.read(account), damage.find(account.did))
        for account in AccountStore(accounts).iter_all()
    )
    if as_json:
        _print_lines(found)
    else:
        _print_table(list(found))


def _print_lines(found: Iterator[_Found]) -> None:
    total = _Total()
    for one, fault in found:
        total.add(one)
        print_json({**account_json(one.account), "damage": fault, **one.to_json()})
    print_json({"total": total.to_json()})


def _print_table(found: list[_Found]) -> None:
    total = _Total()
    for one, _ in found:
        total.add(one)
    title = (
        f"{counted(total.accounts, 'account')}, {format_size(total.database_bytes)} of databases, "
        f"{format_size(total.blob_bytes)} of blobs"
    )
    if total.unknown:
        title += f", {total.unknown} cannot be read"
    print_table(title, _COLUMNS, _rows(found))


def _rows(found: Iterable[_Found]) -> Iterator[tuple[str | None, ...]]:
    for one, fault in found:
        account, usage = one.account, one.usage
        names = (account.handle, account.did, status_text(account, fault))
        quota = quota_text(one)
        if usage is None:
            yield *names, "?", quota, "?", "?", "?", "?"
            continue
        yield (
            *names,
            format_size(usage.used_bytes),
            quota,
            format_size(usage.database_bytes),
            format_size(usage.blob_bytes),
            str(usage.records),
            str(usage.blobs),
        )


def quota_text(usage: AccountUsage) -> str:
    """Return the quota of an account, for people."""
    limit = "none" if usage.quota_bytes is None else format_size(usage.quota_bytes)
    return limit if usage.quota_is_own else f"{limit} (default)"


class _Total:
    """The totals over all accounts."""

    def __init__(self) -> None:
        self.accounts = 0
        self.unknown = 0
        self.database_bytes = 0
        self.blob_bytes = 0
        self.records = 0
        self.blobs = 0

    def add(self, one: AccountUsage) -> None:
        self.accounts += 1
        usage = one.usage
        if usage is None:
            self.unknown += 1
            return
        self.database_bytes += usage.database_bytes
        self.blob_bytes += usage.blob_bytes
        self.records += usage.records
        self.blobs += usage.blobs

    def to_json(self) -> dict[str, int]:
        return {
            "accounts": self.accounts,
            "unreadable": self.unknown,
            "usedBytes": self.database_bytes + self.blob_bytes,
            "databaseBytes": self.database_bytes,
            "blobBytes": self.blob_bytes,
            "records": self.records,
            "blobs": self.blobs,
        }
