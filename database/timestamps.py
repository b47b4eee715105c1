"""Times as columns hold them: ISO 8601, UTC, milliseconds, `Z`.

All have the same length, so their order as text is their order in time.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

Clock: TypeAlias = Callable[[], float]
"""Seconds since the Unix epoch: `time.time`, or a test's own."""


def iso_of(epoch_s: float) -> str:
    """The column text of a time given in seconds since the Unix epoch."""
    text = datetime.fromtimestamp(epoch_s, UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"


def now_iso() -> str:
    """The column text of the time now."""
    return iso_of(time.time())


def epoch_s_of(iso: str) -> float:
    """The seconds since the Unix epoch of a column's text."""
    return datetime.fromisoformat(iso).timestamp()


def epoch_ms_of(iso: str) -> int:
    """The milliseconds since the Unix epoch of a column's text, exact."""
    return round(datetime.fromisoformat(iso).timestamp() * 1000)
