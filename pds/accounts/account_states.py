"""Deactivations and takedowns, which hide accounts, and their reversal."""

from __future__ import annotations

import time

from database.connection import Database
from database.retry import write
from database.timestamps import Clock, iso_of
from pds.accounts.account_store import AccountStore
from pds.accounts.sessions import Sessions
from repo.syntax import Did


class AccountStates:
    """Changes the states of accounts. Takedown and deactivation are independent of each other."""

    def __init__(
        self, db: Database, store: AccountStore, sessions: Sessions, *, clock: Clock = time.time
    ) -> None:
        self._db = db
        self._store = store
        self._sessions = sessions
        self._clock = clock

    async def deactivate(
        self, did: Did, *, delete_after: str | None = None, disconnect_apps: bool = False
    ) -> None:
        """Hide the account until it is activated. Raises `AccountNotFound`.

        Sessions stay, unless `disconnect_apps` ends those of apps: see `Sessions.end_apps`.
        """

        def deactivate() -> None:
            self._store.get(did)
            self._store.set_deactivated(did, self._now_iso(), delete_after=delete_after)
            if disconnect_apps:
                self._sessions.end_apps(did)

        await write(self._db, deactivate)

    async def activate(self, did: Did) -> None:
        """End a deactivation; a takedown stays. Raises `AccountNotFound`."""

        def activate() -> None:
            self._store.get(did)
            self._store.set_deactivated(did, None)

        await write(self._db, activate)

    async def takedown(self, did: Did, *, ref: str | None = None) -> str:
        """Take the account down and end its sessions, including OAuth. Raises `AccountNotFound`.

        Return the stored reference: that of the first takedown, by default its time.
        """

        def takedown() -> str:
            kept = self._store.get(did).takedown_ref or ref or self._now_iso()
            self._store.set_takedown_ref(did, kept)
            self._sessions.end_all(did)
            return kept

        return await write(self._db, takedown)

    async def untakedown(self, did: Did) -> None:
        """Reverse a takedown; a deactivation stays. Raises `AccountNotFound`."""

        def untakedown() -> None:
            self._store.get(did)
            self._store.set_takedown_ref(did, None)

        await write(self._db, untakedown)

    def _now_iso(self) -> str:
        return iso_of(self._clock())
