"""The definition of a rate limit: a number of points per time window, for each key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, Protocol, TypeAlias

MINUTE_S: Final = 60
HOUR_S: Final = 60 * MINUTE_S
DAY_S: Final = 24 * HOUR_S

_MAX_IDENTIFIER: Final = 256
"""Longer than any handle or email address that an account can have."""


class LimitedCall(Protocol):
    """The parts of a method call that limits use."""

    @property
    def caller(self) -> str: ...

    @property
    def body(self) -> Mapping[str, Any]: ...


Key: TypeAlias = Callable[[str, LimitedCall], str]
"""Returns the key that a call counts for. The first argument is the client's address group."""


@dataclass(slots=True, frozen=True)
class Limit:
    """At most `points` in `window_s` seconds for each key; a window opens with the first hit."""

    name: str
    points: int
    window_s: int
    key: Key


def by_ip(address_group: str, _call: LimitedCall) -> str:
    """Count by client."""
    return address_group


def by_did(_address_group: str, call: LimitedCall) -> str:
    """Count by the account that calls."""
    return call.caller


def by_identifier_and_ip(address_group: str, call: LimitedCall) -> str:
    """Count by client and the identifier that it tries to log in with."""
    # Logins ignore case, too.
    identifier = str(call.body["identifier"]).lower()
    if len(identifier) > _MAX_IDENTIFIER:
        identifier = blake2b(identifier.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{identifier}-{address_group}"
