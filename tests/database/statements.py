"""Recording the SQL that a connection runs, for tests of its cost and order."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from database.connection import Database


@contextmanager
def statements_of(db: Database) -> Iterator[list[str]]:
    """Collect the statements that are run meanwhile."""
    statements: list[str] = []

    def collect(_cursor: object, sql: str, _bindings: object) -> bool:
        statements.append(sql)
        return True

    db.connection.exec_trace = collect
    try:
        yield statements
    finally:
        db.connection.exec_trace = None
