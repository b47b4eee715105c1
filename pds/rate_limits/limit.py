"""What a rate limit is: so many points in a window of time, for each key."""

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


class SignedIn(Protocol):
    """Who has signed in."""

    @property
    def did(self) -> str: ...


class LimitedCall(Protocol):
    """What limits look at in a call of a method."""

    @property
    def user(self) -> SignedIn: ...

    @property
    def body(self) -> Mapping[str, Any]: ...


Key: TypeAlias = Callable[[str, LimitedCall], str]
"""Whom a call counts for. The first argument is what stands for the client's address."""


@dataclass(slots=True, frozen=True)
class Limit:
    """At most `points` in `window_s` seconds for each key; a window opens with the first hit."""

    name: str
    points: int
    window_s: int
    key: Key


def by_ip(address_group: str, _call: LimitedCall) -> str:
    """One count for each client."""
    return address_group


def by_did(_address_group: str, call: LimitedCall) -> str:
    """One count for each account that signs in."""
    return call.user.did


def by_identifier_and_ip(address_group: str, call: LimitedCall) -> str:
    """One count for each name that a client tries to log in with."""
    # The login does not tell upper case from lower case either.
    identifier = str(call.body["identifier"]).lower()
    if len(identifier) > _MAX_IDENTIFIER:
        identifier = blake2b(identifier.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{identifier}-{address_group}"
