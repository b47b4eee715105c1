"""The service database: its accounts, and the heads it has recorded for their repos."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from actor_store.layout import ActorLayout
from database.connection import Database
from database.errors import DatabaseError
from pds.accounts.schema import account_migrations
from pds.disk.remedies import restore_database
from pds.doctor.database import check_database, damage, missing_file
from pds.doctor.finding import Finding
from pds.doctor.inspection import examine_unchanged
from pds.doctor.repo import RepoHead
from pds.reporting import Sample, counted

CHECK: Final = "accounts"
_ACCOUNTS: Final = (
    "SELECT actor.did, handle, takedownRef, deactivatedAt, account.did IS NOT NULL"
    " FROM actor LEFT JOIN account ON account.did = actor.did"
)
_LOGINS_ALONE: Final = (
    "SELECT did FROM account WHERE NOT EXISTS (SELECT 1 FROM actor WHERE actor.did = account.did)"
)


# Written by `pds.recovery`: accounts that are being created, renamed or deleted.
_UNFINISHED: Final = "SELECT did, kind FROM holdfast_journal WHERE kind <> 'damaged' ORDER BY did"


@dataclass(slots=True, frozen=True)
class AccountRow:
    """An account: its row in `actor`, and whether it has one in `account` to log in with."""

    did: str
    handle: str | None
    is_takendown: bool
    is_deactivated: bool
    has_login: bool

    @property
    def is_active(self) -> bool:
        """Whether it is neither taken down nor deactivated."""
        return not (self.is_takendown or self.is_deactivated)


@dataclass(slots=True, frozen=True)
class Accounts:
    """The contents of the service database. `is_readable` is False if none can be trusted."""

    is_readable: bool
    findings: tuple[Finding, ...]
    rows: dict[str, AccountRow] = field(default_factory=dict)
    roots: dict[str, RepoHead] = field(default_factory=dict)
    """The rows of `repo_root`: heads as shown by listRepos."""
    unfinished: dict[str, str] = field(default_factory=dict)
    """Unfinished changes to accounts, by DID: `create`, `handle` or `delete`."""


def read_accounts(path: Path, *, is_hold: Callable[[str], bool] = lambda _: False) -> Accounts:
    """Check and read the service database. `is_hold` tells the account that needs no login."""
    if not path.exists():
        return Accounts(False, (missing_file(path, "no account can be used"),))
    try:
        return examine_unchanged(path, partial(_read, is_hold))
    except DatabaseError as exc:
        return Accounts(False, (damage(exc),))


def match_stores(accounts: Accounts, stores: dict[str, Path], actors: Path) -> list[Finding]:
    """Find accounts without a store, and stores without an account.

    `stores` has the directory of every DID that has a store, `actors` holds them all. An account
    that is being created or deleted may be incomplete.
    """
    rows, unfinished = accounts.rows, accounts.unfinished
    present, known = stores.keys() | unfinished.keys(), rows.keys() | unfinished.keys()
    lost = [row for did, row in rows.items() if did not in present]
    left = [did for did in stores if did not in known]
    return [
        *(_no_store(row, actors) for row in lost),
        *(_no_account(did, stores[did]) for did in left),
    ]


def check_unfinished(accounts: Accounts, path: Path) -> list[Finding]:
    """Find changes interrupted by a crash; do not call while a server runs."""
    sample = Sample()
    sample.update(f"{kind} {did}" for did, kind in accounts.unfinished.items())
    if not sample:
        return []
    return [
        Finding.warning(
            CHECK,
            path,
            f"{counted(sample.count, 'change')} of accounts not finished: {sample}",
            "Usual after a crash. Start the server, which finishes or undoes them.",
        )
    ]


def _read(is_hold: Callable[[str], bool], db: Database) -> Accounts:
    faults = check_database(db, account_migrations())
    if faults:
        return Accounts(False, tuple(faults))
    rows = {
        did: AccountRow(did, handle, takedown is not None, deactivated is not None, bool(login))
        for did, handle, takedown, deactivated, login in db.iter(_ACCOUNTS)
    }
    roots = {
        did: RepoHead(cid, rev) for did, cid, rev in db.iter("SELECT did, cid, rev FROM repo_root")
    }
    findings = [
        _no_login(db, row) for row in rows.values() if not row.has_login and not is_hold(row.did)
    ]
    findings += [_login_alone(db, did) for (did,) in db.iter(_LOGINS_ALONE)]
    return Accounts(True, tuple(findings), rows, roots, _unfinished(db))


def _unfinished(db: Database) -> dict[str, str]:
    if not db.connection.table_exists("main", "holdfast_journal"):
        return {}
    return dict(db.iter(_UNFINISHED))


def _no_login(db: Database, row: AccountRow) -> Finding:
    return Finding.warning(
        CHECK,
        row.did,
        f"{db.path} has {row.handle or 'it'} without e-mail address and password",
        "Nobody can log in. Restore the row of the table account from a backup, or delete the "
        "account.",
    )


def _login_alone(db: Database, did: str) -> Finding:
    return Finding.error(
        CHECK,
        did,
        f"{db.path} has an e-mail address and a password for it, but no actor",
        "Restore the row of the table actor from a backup; without it the account is not served.",
    )


def _no_store(row: AccountRow, actors: Path) -> Finding:
    return Finding.error(
        CHECK,
        row.did,
        f"the account {row.handle or ''} has no store below {actors}".replace("  ", " "),
        f"If {actors} is not the right place, set PDS_ACTOR_STORE_DIRECTORY. If it is: "
        f"{restore_database(ActorLayout(actors).store(row.did))}",
    )


def _no_account(did: str, directory: Path) -> Finding:
    return Finding.warning(
        CHECK,
        directory,
        f"is the store of {did}, which has no account here",
        "It is not served. It is left by a sign-up or deletion that a crash cut short, or the "
        "service database is older than it: restore that, or move the directory away.",
    )
