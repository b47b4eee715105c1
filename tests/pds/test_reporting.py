"""What people are told: counts, samples of faults, text of strangers."""

from __future__ import annotations

import time

import pytest

from pds.reporting import Sample, counted, format_ago, printable


@pytest.mark.parametrize(
    ("count", "told"),
    [(0, "0 records"), (1, "1 record"), (2, "2 records"), (10_000, "10,000 records")],
)
def test_a_count_has_its_noun_and_thousands_apart(count: int, told: str) -> None:
    assert counted(count, "record") == told


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(-5, "0 s ago"), (119, "119 s ago"), (7_199, "119 minutes ago"), (200_000, "2 days ago")],
)
def test_a_time_is_told_in_the_largest_unit_of_which_there_are_two(
    seconds: float, told: str
) -> None:
    assert format_ago(time.time() - seconds) == told
    assert format_ago(None) == "never"


def test_a_sample_names_the_first_and_counts_all() -> None:
    sample = Sample()
    assert not sample
    sample.update("abc")
    assert str(sample) == "a, b, c"
    sample.add("d")
    assert (sample.count, str(sample)) == (4, "a, b, c and 1 more")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("naïve ✓", "naïve ✓"),
        ("\x1b[2J", r"\x1b[2J"),
        ("one\r\ntwo", r"one\r\ntwo"),
        ("\u202eevil", r"\u202eevil"),
        ("\x9b31m", r"\x9b31m"),
    ],
)
def test_what_prints_nothing_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown
