"""Short transactions of the event loop, which back off while another connection holds the lock.

Connections of the loop have no busy timeout, for that would stop every other task. The delays
are the reference PDS's (behaviour: "SQLite settings"); their sum satisfies Litestream, which asks
for a wait of five seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

from database.connection import Database, Transaction
from database.errors import DatabaseBusy, DatabaseOutOfFiles

T = TypeVar("T")

DELAYS_MS: Final = (1, 2, 5, 10, 15, 20, 25, 25, 25, 50, 50, *([100] * 48))
"""Milliseconds before each further try; about five seconds in all."""
_PASSING: Final = (DatabaseBusy, DatabaseOutOfFiles)
"""Files are closed in a thread, so that there may be room for another in a moment."""


async def write(db: Database, fn: Callable[[], T]) -> T:
    """Run `fn` as one write transaction and return its result.

    Does not suspend unless the file is busy: what the caller does next happens in the same step
    of the event loop as the COMMIT. `fn` may run again, so it touches nothing but `db`.
    Raises `DatabaseBusy` after about 5 seconds, and whatever `fn` raises, rolled back.
    """
    return await when_free(lambda: _transact(db.transaction(), fn))


async def when_free(fn: Callable[[], T]) -> T:
    """Call `fn` until it no longer raises `DatabaseBusy` or `DatabaseOutOfFiles`.

    After about 5 seconds either is raised.
    """
    try:
        return fn()
    except _PASSING:
        return await _retry(fn)


async def _retry(fn: Callable[[], T]) -> T:
    for delay_ms in DELAYS_MS[:-1]:
        await asyncio.sleep(delay_ms / 1000)
        with suppress(*_PASSING):
            return fn()
    await asyncio.sleep(DELAYS_MS[-1] / 1000)
    return fn()


def _transact(transaction: Transaction, fn: Callable[[], T]) -> T:
    with transaction:
        return fn()
