"""Denials: callers who are refused again and again are refused from memory for a while.

The first refusals in a row cost the caller nothing. After these, each further one starts a pause
that is twice as long as the one before, up to a minute. During a pause the last refusal is repeated
with a Retry-After, and nothing is looked up, resolved or verified. One success ends it all.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from cachetools import TTLCache

from pds.xrpc.errors import XrpcError

FREE: Final = 5
"""Refusals in a row without a pause."""
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0
_MAX_DOUBLINGS: Final = 16
_FORGOTTEN_AFTER_S: Final = 10 * 60
_MAX_REMEMBERED: Final = 10_000
"""About 3 MB. The key whose last refusal is oldest is forgotten first."""

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer that refuses."""

    status: int
    name: str
    message: str

    @classmethod
    def of(cls, error: XrpcError) -> Refusal:
        """Return the answer of an error, without its traceback."""
        return cls(error.status, error.name, error.message)


@dataclass(frozen=True, slots=True)
class Denial:
    """A refusal that is repeated until a pause ends."""

    refusal: Refusal
    retry_after_s: int

    def error(self) -> XrpcError:
        """Return the answer."""
        refusal = self.refusal
        return XrpcError(
            refusal.status, refusal.name, refusal.message, retry_after_s=self.retry_after_s
        )


@dataclass(slots=True)
class _Row:
    """Refusals in a row."""

    refusal: Refusal
    number: int
    paused_until_s: float


class Denials(Generic[K]):
    """The refusals in a row of each key, such as a DID or an address."""

    def __init__(
        self,
        *,
        free: int = FREE,
        max_remembered: int = _MAX_REMEMBERED,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start pauses after `free` refusals in a row; remember those of `max_remembered` keys."""
        self._free = free
        self._now_s = now_s
        self._rows: TTLCache[K, _Row] = TTLCache(max_remembered, _FORGOTTEN_AFTER_S, timer=now_s)

    def find(self, key: K) -> Denial | None:
        """Return the refusal to repeat, if `key` is in a pause."""
        row = self._rows.get(key)
        if row is None:
            return None
        left_s = row.paused_until_s - self._now_s()
        return Denial(row.refusal, math.ceil(left_s)) if left_s > 0 else None

    def note(self, key: K, refusal: Refusal) -> Denial | None:
        """Count a refusal that was not repeated from here; return the pause that it starts."""
        row = self._rows.pop(key, None)
        number = 1 if row is None else row.number + 1
        pause_s = 0.0
        if number > self._free:
            doublings = min(number - self._free - 1, _MAX_DOUBLINGS)
            pause_s = min(FIRST_PAUSE_S * 2**doublings, LONGEST_PAUSE_S)
        self._rows[key] = _Row(refusal, number, self._now_s() + pause_s)
        return Denial(refusal, math.ceil(pause_s)) if pause_s else None

    def forget(self, key: K) -> None:
        """Forget the refusals of `key`, because it has succeeded."""
        self._rows.pop(key, None)
