"""The table `authorized_client`: the scopes that people have let a client use."""

from __future__ import annotations

import time
from typing import Final

import orjson

from database.connection import Database
from database.retry import write
from database.timestamps import Clock, iso_of
from repo.syntax import Did

MAX_SCOPES: Final = 5_000
"""More than two of the largest requests have. Of a client that goes on to ask for others, only what
was agreed to last is remembered."""
_SCOPES: Final = "authorizedScopes"


class Consents:
    """Remembers what people have agreed to, so that they are asked again only for more."""

    def __init__(self, db: Database, *, clock: Clock = time.time) -> None:
        self._db = db
        self._clock = clock

    def find(self, did: Did, client_id: str) -> frozenset[str] | None:
        """Return the scopes agreed to, or None if the client was never let in."""
        data = self._db.value(
            "SELECT data FROM authorized_client WHERE did = ? AND clientId = ?", (did, client_id)
        )
        return None if data is None else frozenset(orjson.loads(data).get(_SCOPES, ()))

    def list_of(self, did: Did, *, limit: int = 200) -> dict[str, frozenset[str]]:
        """Return the scopes agreed to, by client_id, the latest consent first."""
        rows = self._db.all(
            "SELECT clientId, data FROM authorized_client WHERE did = ?"
            " ORDER BY updatedAt DESC LIMIT ?",
            (did, limit),
        )
        return {client: frozenset(orjson.loads(data).get(_SCOPES, ())) for client, data in rows}

    async def remember(self, did: Did, client_id: str, scopes: frozenset[str]) -> None:
        """Add scopes to those that the person has agreed to."""

        def add() -> None:
            agreed = sorted(scopes | (self.find(did, client_id) or frozenset()))
            if len(agreed) > MAX_SCOPES:
                agreed = sorted(scopes)
            self._db.run(
                """INSERT INTO authorized_client (did, clientId, createdAt, updatedAt, data)
                VALUES (?1, ?2, ?3, ?3, ?4)
                ON CONFLICT (did, clientId) DO UPDATE SET updatedAt = ?3, data = ?4""",
                (did, client_id, now, orjson.dumps({_SCOPES: agreed}).decode()),
            )

        now = iso_of(self._clock())
        await write(self._db, add)

    async def forget(self, did: Did, client_id: str) -> None:
        """Ask again before the client is let in. An unknown one is ignored."""
        await write(
            self._db,
            lambda: self._db.run(
                "DELETE FROM authorized_client WHERE did = ? AND clientId = ?", (did, client_id)
            ),
        )
