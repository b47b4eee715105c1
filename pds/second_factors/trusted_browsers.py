"""The table `holdfast_trusted_browser`: where an account signs in with the password alone.

A browser is known by random tokens in a cookie, one for each account that trusts it. A token that
was in the browser before is never used again, since somebody may have put it there to know it. The
stored hash covers the stored password, so that trust ends with a new password, whoever sets it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
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
MAX_ACCOUNTS: Final = 10
"""Accounts that trust one browser; the one that has trusted it longest is asked again first."""
_BETWEEN: Final = "."
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
        self, did: Did, cookie: str | None, *, user_agent: str | None, ip_address: str
    ) -> str:
        """Trust a browser for 30 days; return the cookie that it must keep.

        `cookie` is the one that it has: the tokens of other accounts stay in it.
        """
        token, known = "trust-" + secrets.token_urlsafe(32), _tokens_in(cookie)

        def add() -> list[str]:
            others = [each for each in known if not self._is_token_of(did, each)]
            self._remove(did, known)
            self._add(did, token, user_agent, ip_address)
            return others

        others = await write(self._db, add)
        return _BETWEEN.join((token, *others[: MAX_ACCOUNTS - 1]))

    def is_trusted(self, did: Did, cookie: str | None) -> bool:
        """Whether the account trusts the browser that has this cookie."""
        return any(self._is_token_of(did, each) for each in _tokens_in(cookie))

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

    def _is_token_of(self, did: Did, token: str) -> bool:
        found = self._db.value(
            "SELECT 1 FROM holdfast_trusted_browser WHERE did = ? AND hash = ? AND expiresAt > ?",
            (did, self._hash(did, token), int(self._clock())),
        )
        return found is not None

    def _remove(self, did: Did, tokens: Sequence[str]) -> None:
        for token in tokens:
            self._db.run(
                "DELETE FROM holdfast_trusted_browser WHERE did = ? AND hash = ?",
                (did, self._hash(did, token)),
            )

    def _add(self, did: Did, token: str, user_agent: str | None, ip_address: str) -> None:
        now_s = self._clock()
        self._db.run(
            "DELETE FROM holdfast_trusted_browser WHERE did = ? AND expiresAt <= ?",
            (did, int(now_s)),
        )
        self._db.run(
            "INSERT INTO holdfast_trusted_browser"
            " (id, did, hash, userAgent, ipAddress, trustedAt, expiresAt)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                secrets.token_hex(8),
                did,
                self._hash(did, token),
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


def _tokens_in(cookie: str | None) -> list[str]:
    tokens = (cookie or "").split(_BETWEEN)[:MAX_ACCOUNTS]
    return [each for each in tokens if _TOKEN.fullmatch(each)]
