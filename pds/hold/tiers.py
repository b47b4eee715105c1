"""Tiers: named quotas, from the lowest to the highest.

A setting names each as `name=5GB`. Units are B to PB in any case, and powers of 1,024: 1 GB is
2^30 bytes. Without tiers there are no quotas.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from pds.config import ConfigError

UNITS: Final = ("B", "KB", "MB", "GB", "TB", "PB")
MAX_NAME: Final = 32
"""The limit of `tier` in a crew record."""
_MAX_BYTES: Final = 2**53 - 1
"""The largest integer that every JSON parser reads exactly."""
_MAX_TIERS: Final = 100
_TIER: Final = re.compile(r"\s*([^\s=,]+)\s*=\s*(\S.*?)\s*")
_SIZE: Final = re.compile(r"(\d{1,16}(?:\.\d{1,6})?)\s*([KMGTP]?B)", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Tier:
    """A named quota."""

    name: str
    quota_bytes: int


class Tiers:
    """The tiers of a hold; perhaps none, which is no quota."""

    def __init__(self, tiers: Iterable[Tier], *, default: str | None = None) -> None:
        """Order counts: the first is the lowest, and the default unless `default` names another.

        Raises `ConfigError`.
        """
        self._tiers = tuple(tiers)
        self._by_name = {tier.name: tier for tier in self._tiers}
        if len(self._by_name) < len(self._tiers):
            raise _bad_setting("PDS_HOLD_TIERS: two tiers have the same name")
        if len(self._tiers) > _MAX_TIERS:
            raise _bad_setting(f"PDS_HOLD_TIERS: there are more than {_MAX_TIERS} tiers")
        if default is not None and default not in self._by_name:
            raise _bad_setting(
                f"PDS_HOLD_NEW_CREW_TIER: {default!r} is none of the tiers in PDS_HOLD_TIERS"
            )
        self.default = self._by_name[default] if default else next(iter(self._tiers), None)

    @classmethod
    def parse(cls, entries: Iterable[str], *, default: str | None = None) -> Tiers:
        """Read the settings, entries such as `deckhand=5GB`. Raises `ConfigError`."""
        return cls((_parse_tier(entry) for entry in entries), default=default or None)

    def of(self, name: str | None) -> Tier | None:
        """Return the tier of a member whose record names `name`; None if there is no quota.

        An unknown name counts as the default: an operator may have renamed the tiers.
        """
        return self.default if name is None else self._by_name.get(name, self.default)

    def at(self, rank: int) -> Tier | None:
        """Return the tier at an index into the list, or None."""
        return self._tiers[rank] if 0 <= rank < len(self._tiers) else None

    def __iter__(self) -> Iterator[Tier]:
        return iter(self._tiers)

    def __len__(self) -> int:
        return len(self._tiers)


def parse_size(text: str) -> int:
    """Return the bytes of a size such as `5GB` or `1.5 tb`. Raises `ValueError`."""
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f"not a size such as 5GB (units {', '.join(UNITS)}): {text[:100]!r}")
    number, unit = found.groups()
    size_bytes = int(Decimal(number) * 1024 ** UNITS.index(unit.upper()))
    if not 1 <= size_bytes <= _MAX_BYTES:
        raise ValueError(f"not at least 1 byte and less than 8 PB: {text[:100]!r}")
    return size_bytes


def format_size(size_bytes: int) -> str:
    """Return a size for people, such as `5.0 GB` or `12 B`."""
    if size_bytes < 1024:
        return f"{size_bytes} B"
    size, power = float(size_bytes), 0
    # What would be rounded to 1024.0 is shown in the next unit.
    while round(size, 1) >= 1024 and power < len(UNITS) - 1:
        size, power = size / 1024, power + 1
    return f"{size:.1f} {UNITS[power]}"


def _parse_tier(entry: str) -> Tier:
    found = _TIER.fullmatch(entry)
    if found is None:
        raise _bad_setting(f"PDS_HOLD_TIERS: not of the form name=5GB: {entry[:100]!r}")
    name, size = found.groups()
    if len(name) > MAX_NAME:
        raise _bad_setting(f"PDS_HOLD_TIERS: a name has more than {MAX_NAME} characters: {name!r}")
    try:
        return Tier(name, parse_size(size))
    except ValueError as exc:
        raise _bad_setting(f"PDS_HOLD_TIERS: {exc}") from exc


def _bad_setting(problem: str) -> ConfigError:
    return ConfigError([problem])
