"""`SharedWrites`: one write transaction for all changes of one step of the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Any, Final, TypeVar, cast

from database.connection import Database
from database.retry import write

T = TypeVar("T")

_FAILED: Final = object()
"""The outcome of every change of a transaction that failed."""


class SharedWrites:
    """Commits small changes of many callers together: a COMMIT takes longer than most of them.

    Each caller goes on when its change is committed. A transaction that fails is rolled back, and
    each of its changes is then made in one of its own, so none suffers from another.
    """

    def __init__(self, db: Database) -> None:
        self._db = db
        self._waiting: list[tuple[Callable[[], Any], asyncio.Future[Any], bool]] = []

    async def make(self, change: Callable[[], T], *, lasting: bool = True) -> T:
        """Make a change, and return its result once it is committed.

        It is made in the next step of the event loop. It may run again, so it must touch nothing
        but the database. What is not `lasting` may be lost in a power failure although a request
        was answered. Raises `DatabaseBusy` after about 5 seconds, and whatever `change` raises.
        """
        loop = asyncio.get_running_loop()
        if not self._waiting:
            # Of no task: each notes for itself what it has written.
            loop.call_soon(self._commit, context=Context())
        made: asyncio.Future[Any] = loop.create_future()
        self._waiting.append((change, made, lasting))
        outcome = await made
        if outcome is _FAILED:
            return await write(self._db, change)
        if lasting:
            self._db.durability.note(self._db.path)
        return cast("T", outcome)

    def _commit(self) -> None:
        waiting, self._waiting = self._waiting, []
        # Whoever was cancelled wants nothing any more.
        waiting = [each for each in waiting if not each[1].done()]
        try:
            with self._db.transaction(lasting=any(lasting for _, _, lasting in waiting)):
                outcomes = [change() for change, _, _ in waiting]
        except Exception:  # noqa: BLE001 - each caller meets its own error when it tries alone
            outcomes = [_FAILED] * len(waiting)
        for (_, made, _), outcome in zip(waiting, outcomes, strict=True):
            made.set_result(outcome)
