"""When something was made, as far as it says so."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from repo.syntax.datetime import parse_datetime
from repo.tid import decode_tid, is_tid


def time_of_record(record: Any, rkey: str) -> datetime | None:
    """When a record was made: what it says itself, or else what its key says."""
    created_at = record.get("createdAt") if isinstance(record, dict) else None
    stated = _time_of_text(created_at) if isinstance(created_at, str) else None
    return stated or time_of_tid(rkey)


def time_of_tid(text: str) -> datetime | None:
    """When a TID was made, or None for what is none."""
    if not is_tid(text):
        return None
    micros, _ = decode_tid(text)
    try:
        return datetime.fromtimestamp(micros / 1_000_000, UTC)
    except (OverflowError, ValueError, OSError):
        return None


def _time_of_text(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(parse_datetime(text)).astimezone(UTC)
    except (OverflowError, ValueError):
        return None  # It is none, or one that no calendar of Python has.
