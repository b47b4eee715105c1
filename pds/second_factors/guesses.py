"""Limits on wrong codes, which count inside the transaction that checks a code.

Only codes of six digits are few enough to guess, so only these are refused after too many wrong
ones. An attacker who knows the password can use up the allowance, but not lock the owner out:
recovery codes, mailed codes, passkeys and trusted browsers go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from database.connection import Database
from database.timestamps import Clock
from pds.second_factors.errors import TooManyWrongCodes
from repo.syntax import Did

HOUR_S: Final = 60 * 60
DAY_S: Final = 24 * HOUR_S
PLACE_LIMIT: Final = 10
"""Wrong codes from one network in an hour."""
ACCOUNT_LIMIT: Final = 60
"""Wrong codes from anywhere in a day: one try in 5,500 finds a code in that time, as three codes of
a million are right."""
_ANYWHERE: Final = ""
_SAVE: Final = (
    "INSERT INTO holdfast_factor_guess (did, place, wrong, endsAt) VALUES (?1, ?2, 1, ?3)"
    " ON CONFLICT (did, place) DO UPDATE SET wrong = wrong + 1"
)


@dataclass(frozen=True, slots=True)
class _Window:
    place: str
    limit: int
    lasts_s: int


class Guesses:
    """Counts the wrong codes of each account, by place and in all. Call it in a transaction."""

    def __init__(self, db: Database, *, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def check(self, did: Did, place: str) -> None:
        """Raise `TooManyWrongCodes` if short codes are refused now."""
        now_s = int(self._clock())
        for window in _windows(place):
            row = self._db.one(
                "SELECT wrong, endsAt FROM holdfast_factor_guess WHERE did = ? AND place = ?",
                (did, window.place),
            )
            if row is not None and row[0] >= window.limit and row[1] > now_s:
                raise TooManyWrongCodes(row[1] - now_s)

    def note_wrong(self, did: Did, place: str) -> None:
        """Count a wrong code."""
        now_s = int(self._clock())
        self._db.run("DELETE FROM holdfast_factor_guess WHERE endsAt <= ?", (now_s,))
        for window in _windows(place):
            self._db.run(_SAVE, (did, window.place, now_s + window.lasts_s))


def _windows(place: str) -> tuple[_Window, _Window]:
    # Addresses of people who mistype are not kept in the clear.
    hidden = blake2b(place.encode(), digest_size=16).hexdigest()
    return _Window(hidden, PLACE_LIMIT, HOUR_S), _Window(_ANYWHERE, ACCOUNT_LIMIT, DAY_S)
