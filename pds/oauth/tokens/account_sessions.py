"""The OAuth sessions of an account, for its owner: which apps are signed in."""

from __future__ import annotations

from database.connection import Database
from database.retry import write
from database.timestamps import Clock, iso_of
from pds.oauth.tokens.lifetimes import LONG
from pds.oauth.tokens.rows import TokenRow, TokenRows
from pds.oauth.tokens.session import ListedSession
from repo.syntax import Did


class AccountSessions:
    """Lists and ends sessions in the table `token`."""

    def __init__(self, db: Database, *, clock: Clock) -> None:
        self._db = db
        self._rows = TokenRows(db)
        self._clock = clock

    def list_of(self, did: Did) -> list[ListedSession]:
        """Return the account's sessions, the one refreshed last first.

        Those of short-lived clients may be over already: see `Lifetimes.check_refresh`.
        """
        now_s = self._clock()
        sessions = self._rows.list_of(
            did, created_after_s=now_s - LONG.session_s, updated_after_s=now_s - LONG.idle_s
        )
        return [_listed(session) for session in sessions]

    async def end(self, did: Did, token_id: str) -> bool:
        """End one session of an account; return whether there was one."""
        return await write(self._db, lambda: self._rows.delete_by_id(did, token_id))

    async def end_of_client(self, did: Did, client_id: str) -> None:
        """End every session that an account has by one client."""
        await write(
            self._db,
            lambda: self._db.run(
                "DELETE FROM token WHERE did = ? AND clientId = ?", (did, client_id)
            ),
        )


def _listed(session: TokenRow) -> ListedSession:
    return ListedSession(
        token_id=session.token_id,
        client_id=session.client_id,
        scope=session.scope,
        device_id=session.device_id,
        created_at=iso_of(session.created_s),
        updated_at=iso_of(session.updated_s),
    )
