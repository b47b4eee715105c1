"""When something was created, according to itself."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from repo.tid import MAX_MICROS, decode_tid, encode_tid, is_tid

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_DAY_MICROS: Final = 24 * 3600 * 1_000_000


def time_of_record(record: Any, rkey: str) -> datetime | None:
    """Return a record's creation time, in UTC: the one it states, or else that of its key."""
    stated = record.get("createdAt") if isinstance(record, dict) else None
    return (_parse(stated) if isinstance(stated, str) else None) or time_of_tid(rkey)


def time_of_tid(text: str) -> datetime | None:
    """Return the time of a TID, or None if `text` is not one."""
    if not is_tid(text):
        return None
    micros, _ = decode_tid(text)
    return datetime.fromtimestamp(micros / 1_000_000, UTC)


def tid_after(day: date) -> str:
    """Return a TID above all those of a day, in UTC, and below all later ones."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    micros = (midnight - _EPOCH) // _MICROSECOND + _DAY_MICROS
    return encode_tid(min(max(micros, 0), MAX_MICROS), 0)


def _parse(text: str) -> datetime | None:
    # Old records have times without a zone, or without a time of day.
    try:
        stated = datetime.fromisoformat(text)
        return stated.replace(tzinfo=stated.tzinfo or UTC).astimezone(UTC)
    except (OverflowError, ValueError):
        return None
