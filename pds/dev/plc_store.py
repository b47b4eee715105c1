"""The embedded PLC directory's operations: checked, numbered and kept in one SQLite file."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from database.connection import Database, Row
from database.migrations import Migration, migrate
from database.opening import open_database
from identity.plc_data import InvalidPlcOperation
from identity.plc_limits import check_limits
from identity.plc_log import PlcLogEntry, validate_next
from identity.plc_operation import PlcOperation
from repo.syntax import Did

MAX_EXPORT: Final = 1_000
"""The most operations in one page of an export."""

_MIGRATIONS: Final = (Migration("001", Path(__file__).with_name("plc_schema.sql").read_text()),)
_COLUMNS: Final = "seq, did, operation, nullified, createdAtMs"
_HOUR_MS: Final = 3_600_000
_RATE_LIMITS: Final = (
    ("week", 7 * 24 * _HOUR_MS, 100),
    ("day", 24 * _HOUR_MS, 30),
    ("hour", _HOUR_MS, 10),
)
"""The most operations of a DID in a time span, as in the public directory."""


@dataclass(slots=True, frozen=True)
class StoredOperation:
    """An accepted operation and its position in the whole directory."""

    seq: int
    entry: PlcLogEntry


class PlcStore:
    """Operations by DID and in the order of their arrival."""

    def __init__(
        self,
        path: Path,
        *,
        now_ms: Callable[[], int] | None = None,
        rate_limits: bool = False,
    ) -> None:
        """Open or create `path`. `rate_limits` limits the operations of a DID over time."""
        self._now_ms = now_ms or _wall_clock_ms
        self._rate_limits = rate_limits
        self._db: Database = open_database(path)
        with self._db.closed_on_error():
            migrate(self._db, _MIGRATIONS)

    def append(self, did: Did, operation: PlcOperation) -> None:
        """Accept `operation` as the next one of `did`. Raises `InvalidPlcOperation`."""
        check_limits(operation)
        with self._db.transaction():
            log = self.log(did)
            # Strictly rising, so that a time can serve as a cursor without losing operations.
            last_ms = self._db.value("SELECT max(createdAtMs) FROM operation")
            now_ms = max(self._now_ms(), (last_ms or 0) + 1)
            nullified = validate_next(did, log, operation, now_ms=now_ms)
            if self._rate_limits:
                _check_rate(log, now_ms)
            self._db.many(
                "UPDATE operation SET nullified = 1 WHERE did = ? AND cid = ?",
                [(did, str(cid)) for cid in nullified],
            )
            self._db.run(
                "INSERT INTO operation (did, cid, operation, createdAtMs) VALUES (?, ?, ?, ?)",
                (did, str(operation.cid), orjson.dumps(operation.to_json()).decode(), now_ms),
            )

    def log(self, did: Did) -> list[PlcLogEntry]:
        """Return all operations of `did` in order, also nullified ones; empty if unknown."""
        rows = self._db.all(f"SELECT {_COLUMNS} FROM operation WHERE did = ? ORDER BY seq", (did,))
        return [_stored(row).entry for row in rows]

    def find_last(self, did: Did) -> PlcOperation | None:
        """Return the operation that defines the current state of `did`."""
        row = self._db.one(
            f"SELECT {_COLUMNS} FROM operation WHERE did = ? AND nullified = 0 "
            "ORDER BY seq DESC LIMIT 1",
            (did,),
        )
        return None if row is None else _stored(row).entry.operation

    def export_after_seq(self, seq: int, count: int) -> list[StoredOperation]:
        """Return up to `count` operations of all DIDs after position `seq`."""
        return self._export("seq > ?", seq, count)

    def export_after_time(self, time_ms: int, count: int) -> list[StoredOperation]:
        """Return up to `count` operations of all DIDs accepted after `time_ms`."""
        return self._export("createdAtMs > ?", time_ms, count)

    def close(self) -> None:
        """Close the file. Closing twice is harmless."""
        self._db.close()

    def _export(self, condition: str, after: int, count: int) -> list[StoredOperation]:
        rows = self._db.all(
            f"SELECT {_COLUMNS} FROM operation WHERE {condition} ORDER BY seq LIMIT ?",
            (after, min(count, MAX_EXPORT)),
        )
        return [_stored(row) for row in rows]


def _stored(row: Row) -> StoredOperation:
    seq, did, text, nullified, created_at_ms = row
    operation = PlcOperation.parse(orjson.loads(text))
    return StoredOperation(seq, PlcLogEntry(Did(did), operation, bool(nullified), created_at_ms))


def _check_rate(log: list[PlcLogEntry], now_ms: int) -> None:
    for name, span_ms, most in _RATE_LIMITS:
        if sum(entry.created_at_ms > now_ms - span_ms for entry in log) >= most:
            raise InvalidPlcOperation(f"Too many operations within last {name} (max {most})")


def _wall_clock_ms() -> int:
    return time.time_ns() // 1_000_000
