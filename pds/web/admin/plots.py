"""Small plots of samples: the lines of an SVG, and the numbers that say the same in words."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from pds.administration.samples import Samples, Series
from pds.reporting import format_size
from pds.translations.language import deferred as _

WIDTH: Final = 320
HEIGHT: Final = 80
HOUR_S: Final = 60 * 60.0
DAY_S: Final = 24 * HOUR_S
_POINTS: Final = 120
"""Columns of a line, each of which shows its largest value: peaks are not lost."""
_GAP_S: Final = 900.0
"""Samples further apart are not joined: the server did not run between them."""
_STEPS: Final = (1.0, 2.0, 5.0, 10.0)


@dataclass(slots=True, frozen=True)
class Plot:
    """One plot. Numbers are text, and empty without samples."""

    name: str
    """In ids of the page."""
    title: str
    """An English text, translated where it is shown."""
    newest: str
    least: str
    most: str
    top: str
    """The number at the upper edge."""
    lines: tuple[str, ...]
    """The `d` of a path for each time without a gap."""
    areas: tuple[str, ...]
    """The same, closed at the bottom."""


def plots_of(samples: Samples, *, day: bool) -> list[Plot]:
    """Return the plots of the last hour, or of the last day."""
    span_s = DAY_S if day else HOUR_S
    newest = samples.newest
    end_s = 0.0 if newest is None else newest.at_s

    def plot(name: str, title: str, series: Series, words: Callable[[float], str]) -> Plot:
        return make_plot(name, title, series, end_s=end_s, span_s=span_s, words=words)

    return [
        plot(
            "requests",
            _("Requests per second"),
            samples.rates(lambda counts: counts.requests, day=day),
            _rate,
        ),
        plot(
            "failures",
            _("Requests that failed, per second"),
            samples.rates(lambda counts: counts.failures, day=day),
            _rate,
        ),
        plot(
            "writes",
            _("Records written per second"),
            samples.rates(lambda counts: counts.writes, day=day),
            _rate,
        ),
        plot(
            "events",
            _("Events per second"),
            samples.rates(lambda counts: counts.events, day=day),
            _rate,
        ),
        plot(
            "subscribers",
            _("Subscribers of the firehose"),
            samples.levels(lambda sample: sample.counts.subscribers, day=day),
            _whole,
        ),
        plot(
            "lag",
            _("Events that the slowest subscriber is behind"),
            samples.levels(lambda sample: sample.counts.lag_events, day=day),
            _whole,
        ),
        plot(
            "memory",
            _("Memory of this process"),
            samples.levels(lambda sample: sample.memory_bytes, day=day),
            _size,
        ),
        plot(
            "disk",
            _("Free space on the disk"),
            samples.levels(lambda sample: sample.disk_free_bytes, day=day),
            _size,
        ),
    ]


def make_plot(
    name: str,
    title: str,
    series: Series,
    *,
    end_s: float,
    span_s: float,
    words: Callable[[float], str],
) -> Plot:
    """Return the plot of the last `span_s` seconds before `end_s`; `words` writes its numbers."""
    start_s = end_s - span_s
    shown = [
        (at_s, value)
        for at_s, value in zip(series.times_s, series.values, strict=True)
        if start_s <= at_s <= end_s
    ]
    if not shown:
        return Plot(name, title, "", "", "", "", (), ())
    values = [value for _, value in shown]
    top = _round_up(max(values))
    lines, areas = [], []
    for piece in _pieces(shown):
        points = [
            (WIDTH * (at_s - start_s) / span_s, HEIGHT * (1 - value / top))
            for at_s, value in _peaks(piece, start_s, span_s)
        ]
        line = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        # A piece of one sample would be invisible.
        lines.append(f"M{line}" if len(points) > 1 else f"M{line}h1.5")
        areas.append(f"M{points[0][0]:.1f} {HEIGHT}L{line}V{HEIGHT}Z")
    return Plot(
        name,
        title,
        words(values[-1]),
        words(min(values)),
        words(max(values)),
        words(top),
        tuple(lines),
        tuple(areas),
    )


def _pieces(shown: list[tuple[float, float]]) -> Iterator[list[tuple[float, float]]]:
    piece: list[tuple[float, float]] = []
    for at_s, value in shown:
        if piece and at_s - piece[-1][0] > _GAP_S:
            yield piece
            piece = []
        piece.append((at_s, value))
    yield piece


def _peaks(
    piece: list[tuple[float, float]], start_s: float, span_s: float
) -> Iterator[tuple[float, float]]:
    def column(point: tuple[float, float]) -> int:
        return int((point[0] - start_s) / span_s * _POINTS)

    columns = (points for _column, points in groupby(piece, column))
    yield from (max(points, key=lambda point: point[1]) for points in columns)


def _round_up(value: float) -> float:
    """Return the next number with one digit that is 1, 2 or 5; 1 for nothing at all."""
    if not 0 < value < math.inf:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in _STEPS if step * power >= value * (1 - 1e-9))


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}" if value >= 1 else f"{value:.1g}"


def _whole(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 or value == 0 else f"{value:.1g}"


def _size(value: float) -> str:
    return format_size(round(value))
