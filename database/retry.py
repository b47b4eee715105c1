"""Short transactions on the event loop, with back-off while another connection holds the lock.

Connections of the event loop have no busy timeout, because it would block every other task. The
delays are those of the reference PDS (behaviour: "SQLite settings"); their sum satisfies
Litestream, which asks for a wait of five seconds.
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
"""Milliseconds before each retry; about five seconds in total."""
_PASSING: Final = (DatabaseBusy, DatabaseOutOfFiles)
"""Transient errors. Files are closed in a thread, so there may soon be room for another."""


async def write(db: Database, fn: Callable[[], T]) -> T:
    """Run `fn` as one write transaction and return its result.

    Does not suspend unless the file is busy: the caller continues in the same step of the event
    loop as the COMMIT. `fn` may run again, so it must touch nothing but `db`. Raises `DatabaseBusy`
    after about 5 seconds; rolls back and re-raises any exception from `fn`.
    """
    return await when_free(lambda: _transact(db.transaction(), fn))


async def when_free(fn: Callable[[], T]) -> T:
    """Call `fn` until it no longer raises `DatabaseBusy` or `DatabaseOutOfFiles`.

    Gives up and raises it after about 5 seconds.
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
