"""Reading the metrics of a server as Prometheus does."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families

from pds.metrics.exposition import render_metrics
from tests.pds.conftest import Pds


class Metrics:
    """One answer of `/metrics`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.help: dict[str, str] = {}
        self._samples: dict[tuple[str, frozenset[tuple[str, str]]], float] = {}
        self.labels: dict[str, set[str]] = {}
        """Values of each label."""
        for family in text_string_to_metric_families(text):
            self.help[family.name] = family.documentation
            for sample in family.samples:
                self._samples[sample.name, frozenset(sample.labels.items())] = sample.value
                for name, value in sample.labels.items():
                    self.labels.setdefault(name, set()).add(value)

    def __getitem__(self, name: str) -> float:
        """The value of a metric without labels."""
        return self.value(name, {})

    def value(self, name: str, labels: Mapping[str, str]) -> float:
        """The value of a metric. Raises `KeyError`."""
        return self._samples[f"holdfast_{name}", frozenset(labels.items())]


async def scrape(pds: Pds) -> Metrics:
    """All metrics of a server."""
    return Metrics((await render_metrics(pds.ctx)).decode())
