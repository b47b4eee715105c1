"""Metric families made from plain numbers."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric


def counter(name: str, help_text: str, value: float) -> Metric:
    """Return a counter since the start of the server. Prometheus adds `_total` to its name."""
    return CounterMetricFamily(f"holdfast_{name}", help_text, value=value)


def counters(name: str, help_text: str, label: str, values: Mapping[str, float]) -> Metric:
    """Return counters since the start of the server, distinguished by a label."""
    family = CounterMetricFamily(f"holdfast_{name}", help_text, labels=(label,))
    for key, value in values.items():
        family.add_metric((key,), value)
    return family


def gauge(name: str, help_text: str, value: float) -> Metric:
    """Return a current value."""
    return GaugeMetricFamily(f"holdfast_{name}", help_text, value=value)


def gauges(name: str, help_text: str, label: str, values: Mapping[str, float]) -> Metric:
    """Return several current values, distinguished by a label."""
    family = GaugeMetricFamily(f"holdfast_{name}", help_text, labels=(label,))
    for key, value in values.items():
        family.add_metric((key,), value)
    return family
