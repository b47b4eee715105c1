"""Plots: lines within their frame, with gaps, peaks and readable numbers."""

from __future__ import annotations

import math
import re

import pytest

from pds.administration.samples import Samples, Series
from pds.web.admin.plots import HEIGHT, HOUR_S, WIDTH, Plot, make_plot, plots_of


def plot(*points: tuple[float, float], end_s: float = HOUR_S) -> Plot:
    series = Series(tuple(at for at, _ in points), tuple(value for _, value in points))
    return make_plot("x", "X", series, end_s=end_s, span_s=HOUR_S, words=lambda value: f"{value:g}")


def numbers(path: str) -> list[float]:
    return [float(text) for text in re.findall(r"-?[\d.]+", path)]


def test_a_line_goes_from_the_left_to_the_right_edge() -> None:
    drawn = plot(*((at * HOUR_S, 10 * at) for at in (0.0, 0.25, 0.5, 0.75, 1.0)))
    line = "0.0 80.0L80.0 60.0L160.0 40.0L240.0 20.0L320.0 0.0"
    assert (drawn.lines, drawn.areas) == ((f"M{line}",), (f"M0.0 80L{line}V80Z",))
    assert (drawn.newest, drawn.least, drawn.most, drawn.top) == ("10", "0", "10", "10")


def test_times_in_which_the_server_did_not_run_are_not_joined() -> None:
    drawn = plot((0.0, 1.0), (10.0, 1.0), (2_000.0, 3.0), (3_590.0, 2.0))
    assert len(drawn.lines) == len(drawn.areas) == 3
    # A single sample is drawn as a dot that can be seen.
    assert drawn.lines[1].endswith("h1.5")


def test_a_peak_of_one_sample_is_not_lost_among_many() -> None:
    points = [(number * 10.0, 100.0 if number == 177 else 1.0) for number in range(361)]
    drawn = plot(*points)
    (line,) = drawn.lines
    assert min(numbers(line)[1::2]) == 0.0
    assert len(numbers(line)) <= 2 * 122
    assert drawn.most == "100"


def test_what_is_older_than_the_frame_is_not_drawn() -> None:
    drawn = plot((0.0, 900.0), (HOUR_S + 10, 1.0), (HOUR_S + 20, 1.0), end_s=HOUR_S + 20)
    assert drawn.most == "1"
    assert all(0 <= x <= WIDTH for x in numbers(drawn.lines[0])[::2])
    assert all(0 <= y <= HEIGHT for y in numbers(drawn.lines[0])[1::2])


@pytest.mark.parametrize(
    ("value", "top"),
    [(0, "1"), (0.03, "0.05"), (1, "1"), (1.01, "2"), (49, "50"), (2e12, "2e+12"), (math.inf, "1")],
)
def test_the_upper_edge_is_a_round_number(value: float, top: str) -> None:
    assert plot((0.0, float(value))).top == top


@pytest.mark.parametrize("day", [False, True])
def test_without_samples_there_are_plots_without_lines(day: bool) -> None:
    drawn = plots_of(Samples(), day=day)
    assert len({each.name for each in drawn}) == 8
    assert all(each.lines == () and each.newest == "" for each in drawn)
