"""Counts of cache hits and misses."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Lookups:
    """Hits and misses of one cache since the start."""

    hits: int = 0
    misses: int = 0
