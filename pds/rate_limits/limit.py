"""What a rate limit is: so many points in a window of time, for each key."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, TypeAlias

from pds.monitoring.requests.client_address import ClientAddress
from pds.xrpc.call import XrpcCall

MINUTE_S: Final = 60
HOUR_S: Final = 60 * MINUTE_S
DAY_S: Final = 24 * HOUR_S

_MAX_IDENTIFIER: Final = 256
"""Longer than any handle or email address that an account can have."""

Key: TypeAlias = Callable[[ClientAddress, XrpcCall], str]
Cost: TypeAlias = Callable[[XrpcCall], int]


@dataclass(slots=True, frozen=True)
class Limit:
    """At most `points` in `window_s` seconds for each key; a window opens with the first hit."""

    name: str
    points: int
    window_s: int
    key: Key


@dataclass(slots=True, frozen=True)
class MethodLimits:
    """The limits of one method, and how many points of each a call takes."""

    limits: tuple[Limit, ...]
    cost: Cost
    counts_among_all: bool = True
    """Whether a request also counts among all requests of its client.

    If not, the method's own limits are by address, and count every request in their place.
    """


def by_ip(address: ClientAddress, _call: XrpcCall) -> str:
    """One count for each client."""
    return address.group


def by_did(_address: ClientAddress, call: XrpcCall) -> str:
    """One count for each account that signs in."""
    return call.user.did


def by_identifier_and_ip(address: ClientAddress, call: XrpcCall) -> str:
    """One count for each name that a client tries to log in with."""
    # The login does not tell upper case from lower case either.
    identifier = str(call.body["identifier"]).lower()
    if len(identifier) > _MAX_IDENTIFIER:
        identifier = blake2b(identifier.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{identifier}-{address.group}"
