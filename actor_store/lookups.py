"""Counts of how often caches had what they were asked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Lookups:
    """Of one cache, since the start."""

    hits: int = 0
    misses: int = 0
