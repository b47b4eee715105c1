"""The metrics of several processes, as one server's."""

from __future__ import annotations

from prometheus_client.core import Metric

from pds.metrics.families import counter, counters, gauge, gauges
from pds.metrics.joining import join


def _values(families: list[Metric]) -> dict[str, dict[tuple[str, ...], float]]:
    return {
        family.name: {tuple(one.labels.values()): one.value for one in family.samples}
        for family in families
    }


def test_counts_of_all_processes_are_added_up_label_by_label() -> None:
    first = [counter("writes", "Writes.", 3), counters("by", "By.", "kind", {"a": 1, "b": 2})]
    second = [counters("by", "By.", "kind", {"b": 5, "c": 7}), counter("writes", "Writes.", 4)]
    assert _values(join([first, second])) == {
        "holdfast_writes": {(): 7},
        "holdfast_by": {("a",): 1, ("b",): 7, ("c",): 7},
    }


def test_what_each_process_says_of_the_same_thing_counts_once() -> None:
    parts = [[gauge("event_seq", "Newest.", seq)] for seq in (40, 42, 41)]
    assert _values(join(parts)) == {"holdfast_event_seq": {(): 42}}


def test_the_lag_is_that_of_the_slowest_consumer() -> None:
    parts = [
        [gauges("subscriber_lag_events", "Lag.", "state", {"live": lag, "backfill": 0})]
        for lag in (3, 9)
    ]
    assert _values(join(parts))["holdfast_subscriber_lag_events"] == {
        ("live",): 9,
        ("backfill",): 0,
    }


def test_one_process_is_left_as_it_is() -> None:
    alone = [counters("by", "By.", "kind", {"a": 1, "b": 2})]
    expected = _values(alone)
    assert _values(join([alone])) == expected
