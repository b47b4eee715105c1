"""Tiers of a hold: named quotas, from the lowest to the highest.

A setting names each as `name=5GB`. Units from B to PB are powers of 1,000, in any case, as in all
sizes that this server reads and shows; GiB and its like are powers of 1,024. Without tiers there
are no quotas.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from pds.config.errors import ConfigError
from pds.reporting import parse_size

MAX_NAME: Final = 32
"""The limit of `tier` in a crew record."""
_MAX_BYTES: Final = 2**53 - 1
"""The largest integer that every JSON parser reads exactly."""
_MAX_TIERS: Final = 100
_TIER: Final = re.compile(r"\s*([^\s=,]+)\s*=\s*(\S.*?)\s*")


@dataclass(frozen=True, slots=True)
class Tier:
    """A named quota."""

    name: str
    quota_bytes: int


class Tiers:
    """The tiers of a hold; without any, there are no quotas."""

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


def _parse_tier(entry: str) -> Tier:
    found = _TIER.fullmatch(entry)
    if found is None:
        raise _bad_setting(f"PDS_HOLD_TIERS: not of the form name=5GB: {entry[:100]!r}")
    name, size = found.groups()
    if len(name) > MAX_NAME:
        raise _bad_setting(f"PDS_HOLD_TIERS: a name has more than {MAX_NAME} characters: {name!r}")
    if size[-1].isdigit():
        raise _bad_setting(f"PDS_HOLD_TIERS: a unit such as GB is missing: {entry[:100]!r}")
    try:
        quota_bytes = parse_size(size)
    except ValueError as exc:
        raise _bad_setting(f"PDS_HOLD_TIERS: {exc}") from exc
    if not 1 <= quota_bytes <= _MAX_BYTES:
        raise _bad_setting(f"PDS_HOLD_TIERS: not a quota from 1 byte to 9 PB: {entry[:100]!r}")
    return Tier(name, quota_bytes)


def _bad_setting(problem: str) -> ConfigError:
    return ConfigError([problem])
