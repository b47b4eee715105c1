"""Opening the service database, `account.sqlite`, and migrating its schema."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

from database.connection import Database
from database.durability import EVENTUAL, Durability
from database.migrations import Migration, migrate
from database.opening import open_database

_CACHE_KIB: Final = 16_000
_MARKER: Final = re.compile(r"^-- migration (\d{3}):", re.MULTILINE)


def open_account_database(
    path: Path,
    *,
    wal_autocheckpoint: int | None = 1000,
    durability: Durability = EVENTUAL,
) -> Database:
    """Open and migrate the service database for use on the event loop.

    Raises `DatabaseError`; `SchemaTooNew` if a newer server has migrated the file.
    """
    db = open_database(
        path,
        cache_kib=_CACHE_KIB,
        wal_autocheckpoint=wal_autocheckpoint,
        # Deleting an account must also erase its address, password hash and sessions on disk.
        secure_delete=True,
        durability=durability,
    )
    with db.closed_on_error():
        migrate(db, account_migrations())
    # Migrations may wait for another process, but the event loop must not: `database.retry` does.
    db.connection.set_busy_timeout(0)
    return db


@cache
def account_migrations() -> tuple[Migration, ...]:
    """Return the sections of `schema.sql`, in order."""
    text = resources.files(__package__).joinpath("schema.sql").read_text("utf-8")
    _, *sections = _MARKER.split(text)
    names, bodies = sections[::2], sections[1::2]
    # The rest of a marker's line is its title.
    return tuple(
        Migration(name, body.partition("\n")[2]) for name, body in zip(names, bodies, strict=True)
    )
