"""The table `holdfast_recovery_code`: ten codes, each of which replaces the other factors once.

A code has 80 random bits, so that a plain hash does not give it away.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final

from database.connection import Database
from pds.accounts.codes import new_app_password
from repo.syntax import Did

COUNT: Final = 10


class RecoveryCodes:
    """The codes of each account, as hashes. Methods that write must be called in a transaction."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def renew(self, did: Did) -> tuple[str, ...]:
        """Replace all codes by ten new ones, and return these: nobody can read them again."""
        self.remove(did)
        codes = tuple(new_app_password() for _ in range(COUNT))
        for code in codes:
            self._db.run(
                "INSERT INTO holdfast_recovery_code (did, hash) VALUES (?, ?)",
                (did, _hash(did, code)),
            )
        return codes

    def take(self, did: Did, code: str) -> bool:
        """Use a code up. False if it is wrong, or was used."""
        taken = self._db.value(
            "DELETE FROM holdfast_recovery_code WHERE did = ? AND hash = ? RETURNING 1",
            (did, _hash(did, code)),
        )
        return taken is not None

    def left(self, did: Did) -> int:
        """Return how many codes the account has left."""
        return int(
            self._db.value("SELECT count(*) FROM holdfast_recovery_code WHERE did = ?", (did,))
        )

    def remove(self, did: Did) -> None:
        """Delete all codes of an account."""
        self._db.run("DELETE FROM holdfast_recovery_code WHERE did = ?", (did,))


def _hash(did: Did, code: str) -> bytes:
    """Hash a code as people type it, with or without hyphens, in either case."""
    letters = "".join(each for each in code.lower() if each.isalnum())
    return sha256(f"{did} recovery {letters}".encode()).digest()
