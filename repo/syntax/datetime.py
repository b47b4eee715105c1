"""Datetimes as text: valid in both RFC 3339 and ISO 8601, with seconds and a time zone.

Spec: https://atproto.com/specs/lexicon#datetime
"""

from __future__ import annotations

import re
from calendar import monthrange
from typing import Final

from repo.syntax.errors import InvalidSyntax

MAX_DATETIME_LENGTH: Final = 64

_DATETIME: Final = re.compile(
    r"([0-9]{4})-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
    r"T([01][0-9]|2[0-3]):([0-5][0-9]):[0-5][0-9](?:\.[0-9]++)?"
    r"(?:Z|(?!-00:00)([+-])([01][0-9]|2[0-3]):([0-5][0-9]))"
).fullmatch
_MINUTES_OF_DAY: Final = 24 * 60
_SAFE_DAY: Final = "28"
"""The last day that every month has."""


def parse_datetime(text: str) -> str:
    """Check a datetime: the day must exist, and the year in UTC must still have four digits."""
    found = _DATETIME(text) if len(text) <= MAX_DATETIME_LENGTH else None
    if found is None or not _is_on_calendar(found):
        raise InvalidSyntax("datetime", text)
    return text


def _is_on_calendar(found: re.Match[str]) -> bool:
    year, month, day, _, _, sign, _, _ = found.groups()
    # Year 0 has the calendar of the leap year 2000; `monthrange` starts at year 1.
    if day > _SAFE_DAY and int(day) > monthrange(int(year) or 2000, int(month))[1]:
        return False
    if sign is None:
        return True
    if (year, month, day) == ("0000", "01", "01"):
        return _utc_minutes(found) >= 0
    if (year, month, day) == ("9999", "12", "31"):
        return _utc_minutes(found) < _MINUTES_OF_DAY
    return True


def _utc_minutes(found: re.Match[str]) -> int:
    """Return the UTC time as minutes since midnight of the written day.

    It is negative, or a full day or more, if the UTC day differs.
    """
    hour, minute, sign, offset_hours, offset_minutes = found.group(4, 5, 6, 7, 8)
    offset = int(offset_hours) * 60 + int(offset_minutes)
    return int(hour) * 60 + int(minute) + (-offset if sign == "+" else offset)
