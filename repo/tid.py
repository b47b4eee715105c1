"""TIDs: sortable timestamps used as revs and record keys.

Thirteen characters encode 64 bits: microseconds since the Unix epoch, and a 10-bit clock id.
Text order is time order.

Spec: https://atproto.com/specs/tid
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Final

MAX_MICROS: Final = 2**54 - 1
"""Latest time a TID holds. The specification keeps the top bit 0, but its syntax allows 1."""
MAX_CLOCK_ID: Final = 1023

_ALPHABET: Final = "234567abcdefghijklmnopqrstuvwxyz"
_VALUES: Final = {char: value for value, char in enumerate(_ALPHABET)}
_PAIRS: Final = tuple(high + low for high in _ALPHABET for low in _ALPHABET)
_SYNTAX: Final = re.compile(r"[2-7a-j][2-7a-z]{12}").fullmatch


class InvalidTid(ValueError):
    """The text is not a TID, or the numbers do not fit one."""


def is_tid(text: str) -> bool:
    """Whether `text` has the syntax of a TID."""
    return _SYNTAX(text) is not None


def encode_tid(micros: int, clock_id: int) -> str:
    """Write `micros` since the Unix epoch and `clock_id` (0 to 1023). Raises `InvalidTid`."""
    if not (0 <= micros <= MAX_MICROS and 0 <= clock_id <= MAX_CLOCK_ID):
        raise InvalidTid(f"no TID for {micros} microseconds, clock {clock_id}")
    pairs = _PAIRS
    return (
        _ALPHABET[micros >> 50]
        + pairs[micros >> 40 & 1023]
        + pairs[micros >> 30 & 1023]
        + pairs[micros >> 20 & 1023]
        + pairs[micros >> 10 & 1023]
        + pairs[micros & 1023]
        + pairs[clock_id]
    )


def decode_tid(text: str) -> tuple[int, int]:
    """Read the microseconds since the Unix epoch and the clock id. Raises `InvalidTid`."""
    if not is_tid(text):
        raise InvalidTid(f"not a TID: {text[:32]}")
    number = 0
    for char in text:
        number = number << 5 | _VALUES[char]
    return number >> 10, number & MAX_CLOCK_ID


class TidClock:
    """A source of strictly increasing TIDs, even when the wall clock stands still or steps back.

    One clock serves a process; threads may share it.
    """

    def __init__(self, now_us: Callable[[], int], clock_id: int) -> None:
        """`now_us` gives microseconds since the Unix epoch; `clock_id` is 0 to 1023.

        The reference draws its clock ids from 0 to 31. Raises `InvalidTid`.
        """
        if not 0 <= clock_id <= MAX_CLOCK_ID:
            raise InvalidTid(f"clock id is not within 0 and {MAX_CLOCK_ID}: {clock_id}")
        self._now_us = now_us
        self._clock_id = clock_id
        self._last_us = -1
        self._lock = threading.Lock()

    def next(self) -> str:
        """Return a TID greater than every one returned before."""
        with self._lock:
            self._last_us = micros = max(self._now_us(), self._last_us + 1)
        return encode_tid(micros, self._clock_id)

    def next_rev(self, prev: str | None) -> str:
        """Return a rev strictly greater than `prev`, the current rev (None for a new repo).

        Raises `InvalidTid` if `prev` is not a TID, or is the last possible one.
        """
        rev = self.next()
        if prev is None:
            return rev
        prev_us, _ = decode_tid(prev)
        if rev > prev:
            return rev
        # A repo's rev may lie in the future: written before the clock stepped back, or imported.
        # Only this repo's revs continue from there; the clock keeps to the current time.
        return encode_tid(prev_us + 1, self._clock_id)
