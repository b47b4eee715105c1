"""The metrics of several processes as those of one server."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from prometheus_client.core import Metric
from prometheus_client.samples import Sample

_LARGEST: Final = frozenset(
    {
        "holdfast",
        "holdfast_event_seq",
        "holdfast_event_log_refusing",
        "holdfast_subscriber_lag_events",
        "process_start_time_seconds",
    }
)
"""Families of which the server has the largest value of its processes, and not their sum."""


def join(parts: Sequence[Iterable[Metric]]) -> list[Metric]:
    """Add up the families of all processes by name and labels, or take the largest value."""
    joined: dict[str, Metric] = {}
    values: dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], Sample]] = {}
    for family in (family for part in parts for family in part):
        joined.setdefault(family.name, family)
        samples = values.setdefault(family.name, {})
        combine: Callable[[float, float], float] = max if family.name in _LARGEST else _sum
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            known = samples.get(key)
            value = sample.value if known is None else combine(known.value, sample.value)
            samples[key] = sample._replace(value=value)
    for name, family in joined.items():
        family.samples = list(values[name].values())
    return list(joined.values())


def _sum(one: float, other: float) -> float:
    return one + other
