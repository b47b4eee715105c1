"""Limits small enough to be reached, on a clock that the tests move."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

import pytest

from pds.rate_limits.limiter import RateLimiter
from pds.rate_limits.memory import MemoryStore
from pds.rate_limits.table import LIMITS, LimitTable
from tests.pds.conftest import Pds, Reply

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
    """Makes the server of the test begin anew, with other numbers than those of the table."""

    def replace_limiter(
        points: Mapping[str, tuple[int, ...]] | None = None,
        *,
        all_requests: int = ENOUGH,
        **options: Any,
    ) -> None:
        pds.ctx.rate_limiter = RateLimiter(
            MemoryStore(now_ms=clock.now_ms),
            pds.ctx.client_addresses,
            table=table_with(points or {}, all_requests=all_requests),
            now_s=clock.now_s,
            **options,
        )

    return replace_limiter


def table_with(points: Mapping[str, tuple[int, ...]], *, all_requests: int) -> LimitTable:
    """The real table with other numbers: those given, and otherwise more than anybody needs."""
    return LimitTable(
        replace(LIMITS.all_requests, points=all_requests),
        {
            nsid: replace(
                method,
                limits=tuple(
                    replace(limit, points=number)
                    for limit, number in zip(
                        method.limits, points.get(nsid, (ENOUGH,) * len(method.limits)), strict=True
                    )
                ),
            )
            for nsid, method in LIMITS.methods.items()
        },
    )


def told(reply: Reply) -> tuple[str, str]:
    """The policy of the limit that an answer tells of, and the points that are left."""
    return reply.headers["RateLimit-Policy"], reply.headers["RateLimit-Remaining"]


def from_ip(ip: str) -> dict[str, str]:
    """The header by which the reverse proxy of the tests, on loopback, tells of a client."""
    return {"X-Forwarded-For": ip}
