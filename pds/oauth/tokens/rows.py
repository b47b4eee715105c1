"""The tables `token` and `used_refresh_token`: a row for each session, and for each spent token.

Methods that write must be called inside a transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from database.connection import Database, Row
from database.timestamps import epoch_s_of, iso_of
from pds.oauth.clients.authentication import ClientAuth
from pds.oauth.requests.parameters import AuthorizationParameters
from pds.oauth.tokens.session import OAuthSession
from repo.syntax import Did

MAX_SESSIONS: Final = 500
"""Limit for one account: the page of the account shows all. The longest idle ones end."""
MAX_USED: Final = 1_000
"""Spent refresh tokens that are kept for each session, to notice when one comes again."""

_COLUMNS: Final = """
SELECT token.id, token.tokenId, token.did, token.createdAt, token.updatedAt, token.expiresAt,
       token.clientId, token.clientAuth, token.deviceId, token.parameters,
       token.currentRefreshToken, token.scope
FROM token JOIN actor ON actor.did = token.did
"""
_SELECT: Final = f"{_COLUMNS} WHERE actor.takedownRef IS NULL"
_BY: Final = {
    "tokenId": f"{_SELECT} AND token.tokenId = ?",
    "code": f"{_SELECT} AND token.code = ? AND token.code IS NOT NULL",
    "currentRefreshToken": f"{_SELECT} AND token.currentRefreshToken = ?",
}
_BY_USED: Final = (
    f"{_SELECT} AND token.id = (SELECT tokenId FROM used_refresh_token WHERE refreshToken = ?)"
)
# What every request of an app reads, and no more.
_GRANTED: Final = """
SELECT token.did, token.clientId, token.scope, token.deviceId, token.expiresAt, token.parameters
FROM token JOIN actor ON actor.did = token.did
WHERE token.tokenId = ? AND actor.takedownRef IS NULL
"""
_IS_CURRENT: Final = """
SELECT 1 FROM token JOIN actor ON actor.did = token.did
WHERE token.tokenId = ? AND actor.takedownRef IS NULL
"""
_OF_ACCOUNT: Final = (
    f"{_COLUMNS} WHERE token.did = ? AND token.createdAt > ? AND token.updatedAt > ?"
    " ORDER BY token.updatedAt DESC, token.id DESC LIMIT ?"
)
_INSERT: Final = """
INSERT INTO token (tokenId, did, createdAt, updatedAt, expiresAt, clientId, clientAuth, deviceId,
                   parameters, details, code, currentRefreshToken, scope)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, ?, ?, ?)
"""
_ROTATE: Final = """
UPDATE token SET tokenId = ?, currentRefreshToken = ?, updatedAt = ?, expiresAt = ?,
                 clientAuth = ?, scope = ?
WHERE id = ?
"""
_EVICT: Final = """
DELETE FROM token WHERE id IN (
  SELECT id FROM token WHERE did = ? ORDER BY updatedAt DESC, id DESC LIMIT -1 OFFSET ?
)
"""
# The rowids of later tokens are higher.
_FORGET_USED: Final = """
DELETE FROM used_refresh_token WHERE tokenId = ?1 AND rowid <= (
  SELECT rowid FROM used_refresh_token WHERE tokenId = ?1 ORDER BY rowid DESC LIMIT 1 OFFSET ?2
)
"""


@dataclass(slots=True, frozen=True)
class TokenRow:
    """A session. Times are in Unix seconds."""

    id: int
    token_id: str
    did: Did
    created_s: float
    updated_s: float
    expires_s: float
    client_id: str
    client_auth: ClientAuth | None
    device_id: str | None
    parameters: AuthorizationParameters
    refresh_token: str | None
    scope: str


@dataclass(slots=True, frozen=True)
class NewTokens:
    """What every refresh replaces in a row. Times are in Unix seconds."""

    token_id: str
    refresh_token: str | None
    client_auth: ClientAuth
    scope: str
    now_s: float
    expires_s: float


class TokenRows:
    """Rows of `token` and `used_refresh_token`. Lookups leave out accounts that are taken down."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def find(
        self, column: Literal["tokenId", "code", "currentRefreshToken"], value: str
    ) -> TokenRow | None:
        """Return the session with a value in one of the columns that name it."""
        row = self._db.one(_BY[column], (value,))
        return None if row is None else _session_of(row)

    def find_granted(self, token_id: str) -> tuple[OAuthSession, str | None] | None:
        """Return the session of an access token, and the thumbprint of the key it is bound to."""
        row = self._db.one(_GRANTED, (token_id,))
        if row is None:
            return None
        did, client_id, scope, device_id, expires, column = row
        parameters = AuthorizationParameters.from_json(column)
        granted = _granted(scope, parameters)
        session = OAuthSession(did, client_id, granted, token_id, device_id, epoch_s_of(expires))
        return session, parameters.dpop_jkt

    def is_current(self, token_id: str) -> bool:
        """Whether there is a session whose access token has this id."""
        return self._db.one(_IS_CURRENT, (token_id,)) is not None

    def find_by_refresh_token(self, refresh_token: str) -> TokenRow | None:
        """Return the session of a refresh token, whether it is the current one or a spent one."""
        row = self._db.one(_BY_USED, (refresh_token,))
        if row is not None:
            return _session_of(row)
        return self.find("currentRefreshToken", refresh_token)

    def list_of(
        self, did: Did, *, created_after_s: float, updated_after_s: float
    ) -> list[TokenRow]:
        """Return the latest sessions of an account in any state."""
        times = iso_of(created_after_s), iso_of(updated_after_s)
        return [_session_of(row) for row in self._db.all(_OF_ACCOUNT, (did, *times, MAX_SESSIONS))]

    def add(
        self,
        tokens: NewTokens,
        *,
        did: Did,
        client_id: str,
        device_id: str | None,
        parameters: AuthorizationParameters,
        code: str,
    ) -> None:
        """Insert a session. If the account has too many, those idle for longest are deleted."""
        now = iso_of(tokens.now_s)
        self._db.run(
            _INSERT,
            (
                *(tokens.token_id, did, now, now, iso_of(tokens.expires_s), client_id),
                *(tokens.client_auth.to_json(), device_id, parameters.to_json(), code),
                *(tokens.refresh_token, tokens.scope),
            ),
        )
        self._db.run(_EVICT, (did, MAX_SESSIONS))

    def rotate(self, session: TokenRow, tokens: NewTokens) -> bool:
        """Give a session new tokens; False if it has changed since it was read."""
        current = self._db.one("SELECT currentRefreshToken FROM token WHERE id = ?", (session.id,))
        if session.refresh_token is None or current != (session.refresh_token,):
            return False
        self._db.run(
            "INSERT INTO used_refresh_token (refreshToken, tokenId) VALUES (?, ?)",
            (session.refresh_token, session.id),
        )
        self._db.run(_FORGET_USED, (session.id, MAX_USED))
        times = iso_of(tokens.now_s), iso_of(tokens.expires_s)
        said = tokens.client_auth.to_json(), tokens.scope
        self._db.run(_ROTATE, (tokens.token_id, tokens.refresh_token, *times, *said, session.id))
        return True

    def delete(self, row_id: int) -> None:
        """Delete a session, whatever its tokens are now; its spent ones go with it."""
        self._db.run("DELETE FROM token WHERE id = ?", (row_id,))

    def delete_by_id(self, did: Did, token_id: str) -> bool:
        """Delete the session of an account with a token id; return whether there was one."""
        self._db.run("DELETE FROM token WHERE did = ? AND tokenId = ?", (did, token_id))
        return self._db.changes > 0

    def delete_all(self, did: Did) -> None:
        """Delete every session of an account."""
        self._db.run("DELETE FROM token WHERE did = ?", (did,))

    def may_have_sessions(self, did: Did) -> bool:
        """Whether an account exists and is not taken down."""
        found = self._db.one("SELECT 1 FROM actor WHERE did = ? AND takedownRef IS NULL", (did,))
        return found is not None

    def iter_outdated(
        self, *, created_before_s: float, updated_before_s: float, rows: int
    ) -> Iterator[list[int]]:
        """Yield the ids of sessions that began, or were last refreshed, before a time.

        Each step examines `rows` sessions and yields a list, which may be empty.
        """
        last = 0
        times = iso_of(created_before_s), iso_of(updated_before_s)
        while page := self._db.all(
            "SELECT id, createdAt < ?2 OR updatedAt < ?3 FROM token WHERE id > ?1 ORDER BY id"
            " LIMIT ?4",
            (last, *times, rows),
        ):
            last = page[-1][0]
            yield [row_id for row_id, is_outdated in page if is_outdated]


def _session_of(row: Row) -> TokenRow:
    row_id, token_id, did, created, updated, expires, client_id, auth, device_id, *rest = row
    column, refresh_token, scope = rest
    parameters = AuthorizationParameters.from_json(column)
    return TokenRow(
        id=row_id,
        token_id=token_id,
        did=Did(did),
        created_s=epoch_s_of(created),
        updated_s=epoch_s_of(updated),
        expires_s=epoch_s_of(expires),
        client_id=client_id,
        client_auth=ClientAuth.from_json(auth),
        device_id=device_id,
        parameters=parameters,
        refresh_token=refresh_token,
        scope=_granted(scope, parameters),
    )


def _granted(scope: str | None, parameters: AuthorizationParameters) -> str:
    """Return what was granted. Rows of older servers have only what was asked for."""
    return parameters.scope if scope is None else scope
