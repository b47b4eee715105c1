"""The table `app_password`: passwords for single apps, whose sessions have fewer rights."""

from __future__ import annotations

import time
from dataclasses import dataclass

from database.connection import Database
from database.retry import write
from database.timestamps import Clock, iso_of
from pds.accounts.access_cutoffs import AccessCutoffs
from pds.accounts.codes import new_app_password
from pds.accounts.errors import AppPasswordExists, ExpiredToken
from pds.accounts.hashing import OPERATOR, Asker, PasswordHasher, same_hash
from pds.accounts.refresh_tokens import RefreshTokens
from repo.syntax import Did


@dataclass(frozen=True, slots=True)
class AppPassword:
    """An app password without its text, which only the user knows."""

    name: str
    created_at: str
    privileged: bool


class AppPasswords:
    """Creates, finds and revokes the app passwords of accounts."""

    def __init__(
        self,
        db: Database,
        *,
        refresh_tokens: RefreshTokens,
        cutoffs: AccessCutoffs,
        hasher: PasswordHasher,
        clock: Clock = time.time,
    ) -> None:
        self._db = db
        self._refresh_tokens = refresh_tokens
        self._cutoffs = cutoffs
        self._hasher = hasher
        self._clock = clock

    async def create(
        self, did: Did, name: str, *, privileged: bool = False, asker: Asker = OPERATOR
    ) -> tuple[AppPassword, str]:
        """Create an app password, and return it with its text.

        Raises `AppPasswordExists`, `TooBusy`, and `ExpiredToken` if the account's sessions were
        ended meanwhile.
        """
        valid_from = self._cutoffs.find(did)

        def add() -> None:
            if self._cutoffs.find(did) > valid_from:
                raise ExpiredToken("Token has been revoked")
            if self.find(did, name) is not None:
                raise AppPasswordExists(name)
            self._db.run(
                "INSERT INTO app_password (did, name, passwordScrypt, createdAt, privileged)"
                " VALUES (?, ?, ?, ?, ?)",
                (did, name, stored, created.created_at, privileged),
            )

        text = new_app_password()
        async with self._hasher.turn(asker, about=did) as hashing:
            stored = await hashing.hash_app_password(did, text)
        created = AppPassword(name, iso_of(self._clock()), privileged)
        await write(self._db, add)
        return created, text

    async def revoke(self, did: Did, name: str) -> None:
        """Delete an app password and end its sessions. Unknown names are ignored."""

        def revoke() -> None:
            self._db.run("DELETE FROM app_password WHERE did = ? AND name = ?", (did, name))
            self._refresh_tokens.revoke_of_app_password(did, name)

        await write(self._db, revoke)

    def remove_all(self, did: Did) -> None:
        """Delete all app passwords of an account, inside a transaction that ends its sessions."""
        self._db.run("DELETE FROM app_password WHERE did = ?", (did,))

    def find(self, did: Did, name: str) -> AppPassword | None:
        """Return an app password by name."""
        row = self._db.one(
            "SELECT createdAt, privileged FROM app_password WHERE did = ? AND name = ?",
            (did, name),
        )
        return None if row is None else AppPassword(name, row[0], bool(row[1]))

    def find_by_hash(self, did: Did, password_hash: str) -> AppPassword | None:
        """Return the app password with this hash."""
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
        """Return the account's app passwords, newest first."""
        return list_app_passwords(self._db, did)


def list_app_passwords(db: Database, did: Did) -> list[AppPassword]:
    """Return the stored app passwords of an account, newest first."""
    rows = db.all(
        "SELECT name, createdAt, privileged FROM app_password WHERE did = ?"
        " ORDER BY createdAt DESC",
        (did,),
    )
    return [AppPassword(name, created_at, bool(flag)) for name, created_at, flag in rows]
