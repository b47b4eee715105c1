"""Metrics of requests: how many, how they ended, how long they took."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate
from typing import Final

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from pds.monitoring.requests.statistics import BOUNDS_S, RequestStatistics

_BOUNDS: Final = (*map(str, BOUNDS_S), "+Inf")


def request_families(statistics: RequestStatistics) -> Iterator[Metric]:
    """Collect counts and durations by method, for methods that were called."""
    answers = CounterMetricFamily(
        "holdfast_requests",
        "Requests by method and status of their answer; 499: the client had left.",
        labels=("method", "status"),
    )
    durations = HistogramMetricFamily(
        "holdfast_request_duration_seconds",
        "Time to make the answer, or all of it if it was sent as it was made.",
        labels=("method",),
    )
    for method in statistics.methods.values():
        for status, count in method.answers.items():
            answers.add_metric((method.name, str(status)), count)
        if any(method.durations):
            counts = accumulate(method.durations)
            buckets = list(zip(_BOUNDS, map(float, counts), strict=True))
            durations.add_metric((method.name,), buckets, sum_value=method.seconds)
    yield answers
    yield durations
