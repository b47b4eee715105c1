"""Times as stored in columns: ISO 8601, UTC, milliseconds, `Z`.

All have the same length, so text order is time order.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeAlias

Clock: TypeAlias = Callable[[], float]
"""Returns seconds since the Unix epoch: `time.time`, or a test's clock."""


def iso_of(epoch_s: float) -> str:
    """Format a time, given in seconds since the Unix epoch, as column text."""
    text = datetime.fromtimestamp(epoch_s, UTC).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00") + "Z"


def now_iso() -> str:
    """Format the current time as column text."""
    return iso_of(time.time())


def epoch_s_of(iso: str) -> float:
    """Parse column text into seconds since the Unix epoch."""
    return datetime.fromisoformat(iso).timestamp()


def epoch_ms_of(iso: str) -> int:
    """Parse column text into exact milliseconds since the Unix epoch."""
    return round(datetime.fromisoformat(iso).timestamp() * 1000)
