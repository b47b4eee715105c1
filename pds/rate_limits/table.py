"""The rate limits of the reference PDS, as one table.

A method may stand in it before anything serves that method.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from pds.rate_limits.limit import (
    DAY_S,
    HOUR_S,
    MINUTE_S,
    Cost,
    Key,
    Limit,
    MethodLimits,
    by_did,
    by_identifier_and_ip,
    by_ip,
)
from pds.xrpc.call import XrpcCall


@dataclass(slots=True, frozen=True)
class LimitTable:
    """Every limit: that of all requests of a client, and those of single methods by NSID."""

    all_requests: Limit
    methods: Mapping[str, MethodLimits]


_ALL_REQUESTS: Final = Limit("global", 3000, 5 * MINUTE_S, by_ip)

_WRITES: Final = (
    Limit("repo-write-hour", 5000, HOUR_S, by_did),
    Limit("repo-write-day", 35_000, DAY_S, by_did),
)
_POINTS: Final = {"create": 3, "update": 2, "delete": 1}


def _points_of_all(call: XrpcCall) -> int:
    return sum(_POINTS[write["$type"].partition("#")[2]] for write in call.body["writes"])


_WRITE_METHODS: Final[Mapping[str, Cost]] = {
    "com.atproto.repo.createRecord": lambda _: _POINTS["create"],
    "com.atproto.repo.putRecord": lambda _: _POINTS["update"],
    "com.atproto.repo.deleteRecord": lambda _: _POINTS["delete"],
    "com.atproto.repo.applyWrites": _points_of_all,
}
"""What share the points of `_WRITES`, and how many a call takes."""

_Row: TypeAlias = tuple[str, Key, Mapping[int, int]]

_METHODS: Final[Iterable[_Row]] = (
    # Method, what is counted by, and calls for each length of a window
    ("com.atproto.server.createAccount", by_ip, {5 * MINUTE_S: 100}),
    ("com.atproto.server.createSession", by_identifier_and_ip, {5 * MINUTE_S: 30, DAY_S: 300}),
    ("com.atproto.server.deleteAccount", by_ip, {5 * MINUTE_S: 50}),
    ("com.atproto.server.resetPassword", by_ip, {5 * MINUTE_S: 50}),
    ("com.atproto.server.requestPasswordReset", by_ip, {HOUR_S: 15, DAY_S: 50}),
    ("com.atproto.server.requestAccountDelete", by_did, {HOUR_S: 5, DAY_S: 15}),
    ("com.atproto.server.requestEmailConfirmation", by_did, {HOUR_S: 5, DAY_S: 15}),
    ("com.atproto.server.requestEmailUpdate", by_did, {HOUR_S: 5, DAY_S: 15}),
    ("com.atproto.identity.updateHandle", by_did, {5 * MINUTE_S: 10, DAY_S: 50}),
    ("com.atproto.repo.uploadBlob", by_ip, {DAY_S: 1000}),
    ("com.atproto.sync.getRepo", by_ip, {5 * MINUTE_S: 6000}),
)

_NOT_AMONG_ALL: Final = frozenset({"com.atproto.sync.getRepo"})
"""Whose calls do not count among all requests: a relay fetches every repository in a row."""


def _limits_of(nsid: str, key: Key, windows: Mapping[int, int]) -> MethodLimits:
    limits = (Limit(f"{nsid}-{length}", calls, length, key) for length, calls in windows.items())
    return MethodLimits(tuple(limits), lambda _: 1, counts_among_all=nsid not in _NOT_AMONG_ALL)


LIMITS: Final = LimitTable(
    _ALL_REQUESTS,
    {nsid: MethodLimits(_WRITES, cost) for nsid, cost in _WRITE_METHODS.items()}
    | {nsid: _limits_of(nsid, key, windows) for nsid, key, windows in _METHODS},
)
"""The limits that hold unless a test gives others."""
