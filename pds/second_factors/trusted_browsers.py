"""The table `holdfast_trusted_browser`: where an account signs in with the password alone.

A browser is known by a random token in a cookie of its own. The stored hash covers the stored
password, so that trust ends with a new password, whoever sets it.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from database.connection import Database
from database.retry import write
from database.timestamps import Clock, iso_of
from repo.syntax import Did

LIFETIME_S: Final = 30 * 24 * 60 * 60
MAX_EACH: Final = 20
"""Browsers that an account trusts; the oldest goes first."""
_TOKEN: Final = re.compile(r"trust-[A-Za-z0-9_-]{43}")
_USER_AGENT_CHARACTERS: Final = 500


@dataclass(frozen=True, slots=True)
class TrustedBrowser:
    """A browser that an account trusts, for its owner to see."""

    id: str
    user_agent: str | None
    ip_address: str
    trusted_at: str
    expires_at: str


class TrustedBrowsers:
    """Remembers and forgets browsers that need no second factor."""

    def __init__(self, db: Database, *, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def trust(
        self, did: Did, token: str | None, *, user_agent: str | None, ip_address: str
    ) -> str:
        """Trust a browser for 30 days; return the token that it must keep.

        `token` is the one that it has, from this or another account; another value is replaced.
        """
        kept = token if token is not None and _TOKEN.fullmatch(token) else None
        new = kept or "trust-" + secrets.token_urlsafe(32)
        await write(self._db, lambda: self._add(did, new, user_agent, ip_address))
        return new

    def is_trusted(self, did: Did, token: str | None) -> bool:
        """Whether the account trusts the browser that has this token."""
        if token is None or _TOKEN.fullmatch(token) is None:
            return False
        found = self._db.value(
            "SELECT 1 FROM holdfast_trusted_browser WHERE did = ? AND hash = ? AND expiresAt > ?",
            (did, self._hash(did, token), int(self._clock())),
        )
        return found is not None

    def list(self, did: Did) -> list[TrustedBrowser]:
        """Return the browsers that an account trusts, the latest first."""
        rows = self._db.all(
            "SELECT id, userAgent, ipAddress, trustedAt, expiresAt FROM holdfast_trusted_browser"
            " WHERE did = ? AND expiresAt > ? ORDER BY trustedAt DESC, id",
            (did, int(self._clock())),
        )
        return [
            TrustedBrowser(browser_id, user_agent, ip_address, trusted_at, iso_of(expires_at))
            for browser_id, user_agent, ip_address, trusted_at, expires_at in rows
        ]

    async def forget(self, did: Did, browser_id: str) -> None:
        """Trust a browser no longer. What is not trusted is ignored."""
        await write(
            self._db,
            lambda: self._db.run(
                "DELETE FROM holdfast_trusted_browser WHERE did = ? AND id = ?", (did, browser_id)
            ),
        )

    def forget_all(self, did: Did) -> None:
        """Trust no browser any longer, inside a transaction."""
        self._db.run("DELETE FROM holdfast_trusted_browser WHERE did = ?", (did,))

    def _add(self, did: Did, token: str, user_agent: str | None, ip_address: str) -> None:
        now_s = self._clock()
        hidden = self._hash(did, token)
        self._db.run(
            "DELETE FROM holdfast_trusted_browser"
            " WHERE did = ?1 AND (hash = ?2 OR expiresAt <= ?3)",
            (did, hidden, int(now_s)),
        )
        self._db.run(
            "INSERT INTO holdfast_trusted_browser"
            " (id, did, hash, userAgent, ipAddress, trustedAt, expiresAt)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                secrets.token_hex(8),
                did,
                hidden,
                None if user_agent is None else user_agent[:_USER_AGENT_CHARACTERS],
                ip_address,
                iso_of(now_s),
                int(now_s) + LIFETIME_S,
            ),
        )
        self._db.run(
            """DELETE FROM holdfast_trusted_browser WHERE id IN (
                SELECT id FROM holdfast_trusted_browser WHERE did = ?
                ORDER BY trustedAt DESC LIMIT -1 OFFSET ?)""",
            (did, MAX_EACH),
        )

    def _hash(self, did: Did, token: str) -> bytes:
        password = self._db.value("SELECT passwordScrypt FROM account WHERE did = ?", (did,))
        return sha256(f"{token} {did} {password}".encode()).digest()
