"""The table `holdfast_totp`: the secrets that people's authenticator apps share with the server."""

from __future__ import annotations

import structlog

from database.connection import Database
from database.timestamps import Clock, iso_of
from pds.second_factors.errors import AppExists, WrongCode
from pds.second_factors.sealing import Sealer
from pds.second_factors.totp import find_step, new_secret
from repo.syntax import Did

_log = structlog.get_logger(__name__)


class AuthenticatorApps:
    """One app for each account that has set one up."""

    def __init__(self, db: Database, sealer: Sealer, *, clock: Clock) -> None:
        self._db = db
        self._sealer = sealer
        self._clock = clock

    def offer(self, did: Did) -> tuple[str, str]:
        """Return a new secret, and the same sealed, for the form that confirms it.

        Nothing is stored until a code has shown that the app has the secret.
        """
        secret = new_secret()
        return secret, self._sealer.seal(secret.encode(), purpose=f"offer {did}").hex()

    def offered(self, did: Did, sealed: str) -> str | None:
        """Return the secret that was sealed for this account; None for anything else."""
        try:
            data = bytes.fromhex(sealed)
        except ValueError:
            return None
        secret = self._sealer.open(data, purpose=f"offer {did}")
        return None if secret is None else secret.decode()

    def set_up(self, did: Did, secret: str, code: str) -> None:
        """Store a secret, inside a transaction, if `code` shows that the app has it.

        Raises `WrongCode` or `AppExists`.
        """
        step = find_step(secret, code, now_s=self._clock())
        if step is None:
            raise WrongCode
        if self.since(did) is not None:
            raise AppExists
        self._db.run(
            "INSERT INTO holdfast_totp (did, secret, lastStep, createdAt) VALUES (?, ?, ?, ?)",
            (did, self._seal(did, secret), step, iso_of(self._clock())),
        )

    def take(self, did: Did, code: str) -> bool:
        """Use a code up, inside a transaction. False if it is wrong, or was used."""
        row = self._db.one("SELECT secret, lastStep FROM holdfast_totp WHERE did = ?", (did,))
        if row is None:
            return False
        secret = self._sealer.open(row[0], purpose=f"totp {did}")
        if secret is None:
            _log.error("an authenticator app was set up with another PDS_JWT_SECRET", did=did)
            return False
        step = find_step(secret.decode(), code, now_s=self._clock(), after=row[1])
        if step is None:
            return False
        self._db.run("UPDATE holdfast_totp SET lastStep = ? WHERE did = ?", (step, did))
        return True

    def since(self, did: Did) -> str | None:
        """Return when the account has set its app up; None if it has none."""
        found: str | None = self._db.value(
            "SELECT createdAt FROM holdfast_totp WHERE did = ?", (did,)
        )
        return found

    def remove(self, did: Did) -> None:
        """Forget the app of an account, inside a transaction. May be repeated."""
        self._db.run("DELETE FROM holdfast_totp WHERE did = ?", (did,))

    def _seal(self, did: Did, secret: str) -> bytes:
        return self._sealer.seal(secret.encode(), purpose=f"totp {did}")
