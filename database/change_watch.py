"""`ChangeWatch`: notices what other connections commit to a file, for what is kept in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from database.connection import Database


class ChangeWatch:
    """Tells those who keep rows of a file in memory when these may have changed.

    What other connections have committed it notices when somebody asks it to look, but looks once
    in each step of the event loop: whatever another process had committed before a request came is
    seen by that request. A connection has one watch.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._version: int | None = None
        self._has_looked = False
        self._forgetting: list[Callable[[], None]] = []
        self._forgetting_own: dict[str, list[Callable[[], None]]] = {}
        db.connection.set_update_hook(self._note_own)

    def on_change(self, forget: Callable[[], None], *, own_tables: Collection[str] = ()) -> None:
        """Call `forget` in `look`, the first time and whenever others have changed the file.

        It is also called when this connection changes a row of `own_tables`, before it commits.
        """
        self._forgetting.append(forget)
        for table in own_tables:
            self._forgetting_own.setdefault(table, []).append(forget)

    def look(self) -> None:
        """Have everything forgotten that others may have changed. Raises `DatabaseError`.

        Inside a transaction it does nothing, so that nobody keeps what may be rolled back.
        """
        if self._has_looked or self._db.in_transaction:
            return
        version = self._db.value("PRAGMA data_version")
        if version != self._version:
            for forget in self._forgetting:
                forget()
            self._version = version
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            return  # In a command, which has no steps.
        self._has_looked = True
        loop.call_soon(self._end_step)

    def _end_step(self) -> None:
        self._has_looked = False

    def _note_own(self, _kind: int, _database: str, table: str, _row: int) -> None:
        for forget in self._forgetting_own.get(table, ()):
            forget()
