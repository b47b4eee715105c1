"""Many values bound as one parameter: what `FROM carray(?)` of a statement reads.

A statement over an array does its work for thousands of rows in one call of SQLite, during which
other threads of Python run; `Database.many` comes back to Python for every row.

SQLite: https://www.sqlite.org/carray.html
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import apsw

if TYPE_CHECKING:
    from database.connection import SqlArray


def array_of(values: Iterable[str] | Iterable[bytes]) -> SqlArray:
    """Bind `values`: at least one, all text or all bytes, and text without zero characters."""
    return apsw.carray(tuple(values))
