"""Writing down what has happened, for the administrator to read."""

from __future__ import annotations

from typing import Any

import structlog

from database.connection import Database
from database.errors import DatabaseError
from database.retry import write

_log = structlog.get_logger(__name__)


async def note(db: Database, *statements: tuple[str, tuple[Any, ...]], what: str) -> None:
    """Carry out statements with their values in one transaction.

    If that fails, the log says `what` is missing: it has happened nevertheless.
    """

    def run() -> None:
        for sql, values in statements:
            db.run(sql, values)

    try:
        await write(db, run)
    except DatabaseError as exc:
        _log.error("missing on the administrator's pages", what=what, reason=str(exc))
