"""Long write transactions: the work in a thread, its COMMIT in one step of the event loop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from database.connection import Database
from database.errors import DatabaseError
from database.transactions import WriteTransaction

T = TypeVar("T")

logger = logging.getLogger(__name__)


class LongTransaction(Generic[T]):
    """One transaction on a connection of its own, which `open_db` opens.

    `run` and `close` are called in threads, `commit` between them on the event loop. `close` is
    called in any case, also while `run` is under way: nobody waits for it then.
    """

    def __init__(
        self,
        open_db: Callable[[], Database],
        fn: Callable[[Database], T],
        *,
        tidy: Callable[[Database], None],
    ) -> None:
        """`fn` is called in the transaction, and `tidy` after its end."""
        self._open_db = open_db
        self._fn = fn
        self._tidy = tidy
        self._db: Database | None = None
        self._transaction: WriteTransaction
        self._closed = False
        self._lock = threading.Lock()

    def run(self) -> T:
        """Do the work, all but the COMMIT."""
        with self._lock:
            db = self._db = self._open_db()
            try:
                self._transaction = db.transaction()
                self._transaction.__enter__()
                result = self._fn(db)
            except BaseException:
                # Others may be waiting for the lock in every thread that could close this.
                self._end()
                raise
            if self._closed:
                self._end()
            return result

    def commit(self) -> None:
        """Make it last, once `run` has returned."""
        if self._db is not None:
            self._transaction.__exit__(None, None, None)

    def close(self) -> None:
        """Roll back what was not committed, and close the connection. May be repeated."""
        self._closed = True
        with self._lock:
            self._end()

    def _end(self) -> None:
        db, self._db = self._db, None
        if db is None:
            return
        try:
            db.rollback()
            self._tidy(db)
        except DatabaseError as exc:
            logger.warning("after a long transaction: %s", exc)
        finally:
            db.close()
