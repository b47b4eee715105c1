"""Limits small enough to be reached, on a clock that the tests move."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import chain
from typing import Any, Final

import pytest

from pds.api import METHODS
from pds.rate_limits.limiter import RateLimiter
from pds.rate_limits.memory import MemoryStore
from pds.rate_limits.method_limits import ALL_REQUESTS, MethodLimits
from pds.server.app import RATE_LIMITER
from pds.xrpc.methods import MethodTable
from tests.pds.conftest import Pds, Reply

LIMITS: Final[Mapping[str, MethodLimits]] = MethodTable(chain.from_iterable(METHODS)).limits
"""What the methods declare."""
ENOUGH: Final = 1_000_000

SetLimits = Callable[..., None]
"""`set_limits(points, all_requests=…, **options of RateLimiter)`."""


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.ms = 1_000_000

    def advance(self, seconds: float) -> None:
        self.ms += int(seconds * 1000)

    def now_ms(self) -> int:
        return self.ms

    def now_s(self) -> float:
        return self.ms / 1000


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pds_environ() -> dict[str, str]:
    return {"PDS_RATE_LIMITS_ENABLED": "true"}


@pytest.fixture
def set_limits(pds: Pds, clock: Clock) -> SetLimits:
    """Makes the limiter of the test's server begin anew, with other numbers than the declared."""

    def replace_limiter(
        points: Mapping[str, tuple[int, ...]] | None = None,
        *,
        all_requests: int = ENOUGH,
        **options: Any,
    ) -> None:
        other = RateLimiter(
            MemoryStore(now_ms=clock.now_ms),
            pds.ctx.client_addresses,
            limits_with(points or {}),
            all_requests=replace(ALL_REQUESTS, points=all_requests),
            now_s=clock.now_s,
            **options,
        )
        vars(pds.app[RATE_LIMITER]).update(vars(other))

    return replace_limiter


def limits_with(points: Mapping[str, tuple[int, ...]]) -> dict[str, MethodLimits]:
    """The declared limits with other numbers: those given, else more than anybody needs."""
    return {
        nsid: replace(
            method,
            limits=tuple(
                replace(limit, points=number)
                for limit, number in zip(
                    method.limits, points.get(nsid, (ENOUGH,) * len(method.limits)), strict=True
                )
            ),
        )
        for nsid, method in LIMITS.items()
    }


def told(reply: Reply) -> tuple[str, str]:
    """The policy of the limit that an answer tells of, and the points that are left."""
    return reply.headers["RateLimit-Policy"], reply.headers["RateLimit-Remaining"]


def from_ip(ip: str) -> dict[str, str]:
    """The header by which the reverse proxy of the tests, on loopback, tells of a client."""
    return {"X-Forwarded-For": ip}
