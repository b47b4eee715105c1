"""When something was made, as far as it says so."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from repo.tid import decode_tid, is_tid


def time_of_record(record: Any, rkey: str) -> datetime | None:
    """When a record was made, in UTC: what it says itself, or else what its key says."""
    stated = record.get("createdAt") if isinstance(record, dict) else None
    return (_parse(stated) if isinstance(stated, str) else None) or time_of_tid(rkey)


def time_of_tid(text: str) -> datetime | None:
    """When a TID was made, or None for what is none."""
    if not is_tid(text):
        return None
    micros, _ = decode_tid(text)
    return datetime.fromtimestamp(micros / 1_000_000, UTC)


def _parse(text: str) -> datetime | None:
    # Old records have times without a zone, or no time of the day.
    try:
        stated = datetime.fromisoformat(text)
        return stated.replace(tzinfo=stated.tzinfo or UTC).astimezone(UTC)
    except (OverflowError, ValueError):
        return None
