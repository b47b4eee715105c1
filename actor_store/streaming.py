"""Long reads in threads, whose bytes are passed to the event loop part by part."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import Executor

from database.connection import Database

logger = logging.getLogger(__name__)


class ThreadedSource:
    """An iterator over one snapshot of a database, advanced in any free thread."""

    def __init__(
        self, open_db: Callable[[], Database], fn: Callable[[Database], Iterator[bytes]]
    ) -> None:
        self._open_db = open_db
        self._fn = fn
        self._db: Database | None = None
        self._chunks: Iterator[bytes] = iter(())
        self._closed = False
        # `close` may be called while a thread still produces a part that nobody awaits any more.
        self._lock = threading.Lock()

    def next(self) -> bytes | None:
        """Return the next part, or None at the end."""
        with self._lock:
            if self._closed:
                return None
            if self._db is None:
                self._db = self._open_db()
                self._db.run("BEGIN")
                self._chunks = self._fn(self._db)
            return next(self._chunks, None)

    def close(self) -> None:
        """Close the connection, after the part in progress. May be repeated."""
        with self._lock:
            self._closed = True
            # The statement in the generator must end before the connection.
            self._chunks = iter(())
            db, self._db = self._db, None
            if db is not None:
                db.close()


async def stream(executor: Executor, source: ThreadedSource) -> AsyncGenerator[bytes, None]:
    """Yield the parts of `source`, producing one ahead while the consumer has another.

    No thread waits for a slow consumer: it holds only two parts and a connection.
    """
    loop = asyncio.get_running_loop()
    coming = loop.run_in_executor(executor, source.next)
    try:
        while (part := await coming) is not None:
            coming = loop.run_in_executor(executor, source.next)
            yield part
    finally:
        coming.add_done_callback(_forget_error)
        executor.submit(source.close).add_done_callback(_log_error)


def _forget_error(future: asyncio.Future[bytes | None]) -> None:
    """Retrieve the error: a waiter has already received it, and an unused part does not matter."""
    if not future.cancelled():
        future.exception()


def _log_error(future: object) -> None:
    error = future.exception()  # type: ignore[attr-defined]
    if error is not None:
        logger.warning("closing a stream failed: %s", error)
