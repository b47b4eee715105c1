"""The table `app_password`: passwords for single apps, which open lesser sessions.

Writing methods belong inside a transaction; `AccountManager` opens it.
"""

from __future__ import annotations

from dataclasses import dataclass

from database.connection import Database
from pds.accounts.errors import AppPasswordExists
from pds.accounts.passwords import same_hash
from repo.syntax import Did


@dataclass(frozen=True, slots=True)
class AppPassword:
    """An app password without its text, which nobody but the user knows."""

    name: str
    created_at: str
    privileged: bool


class AppPasswords:
    """Rows of `app_password`."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add(self, did: Did, password: AppPassword, *, password_hash: str) -> None:
        """Store an app password. Raises `AppPasswordExists`."""
        if self.find(did, password.name) is not None:
            raise AppPasswordExists(password.name)
        self._db.run(
            "INSERT INTO app_password (did, name, passwordScrypt, createdAt, privileged)"
            " VALUES (?, ?, ?, ?, ?)",
            (did, password.name, password_hash, password.created_at, password.privileged),
        )

    def find(self, did: Did, name: str) -> AppPassword | None:
        """One app password by its name."""
        row = self._db.one(
            "SELECT createdAt, privileged FROM app_password WHERE did = ? AND name = ?",
            (did, name),
        )
        return None if row is None else AppPassword(name, row[0], bool(row[1]))

    def find_by_hash(self, did: Did, password_hash: str) -> AppPassword | None:
        """The app password that has this hash."""
        rows = self._db.all(
            "SELECT passwordScrypt, name, createdAt, privileged FROM app_password WHERE did = ?",
            (did,),
        )
        matching = [
            AppPassword(name, created_at, bool(privileged))
            for stored, name, created_at, privileged in rows
            if same_hash(stored, password_hash)
        ]
        return matching[0] if matching else None

    def list(self, did: Did) -> list[AppPassword]:
        """The account's app passwords, newest first."""
        rows = self._db.all(
            "SELECT name, createdAt, privileged FROM app_password WHERE did = ?"
            " ORDER BY createdAt DESC",
            (did,),
        )
        return [AppPassword(name, created_at, bool(flag)) for name, created_at, flag in rows]

    def delete(self, did: Did, name: str) -> None:
        """Delete one; an unknown name is fine."""
        self._db.run("DELETE FROM app_password WHERE did = ? AND name = ?", (did, name))
