"""A plot of measured figures as SVG: lines over a logarithmic axis, with labels at their ends."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final, TypeAlias

Points: TypeAlias = Sequence[tuple[float, float]]
"""Pairs of x and y, ascending and above zero."""

_WIDTH: Final = 720
_HEIGHT: Final = 380
_LEFT: Final = 70
_RIGHT: Final = 210
_TOP: Final = 36
_BOTTOM: Final = 44
_LINE_PX: Final = 15
"""The least distance of two labels."""
_COLORS: Final = ("#0b6bcb", "#c4432b", "#2a8a4a", "#8a4fbf", "#b5780a", "#4a5a6a", "#c2347f")


@dataclass(slots=True, frozen=True)
class _Axis:
    """Values on a logarithmic scale from one power of ten to another, on some pixels."""

    first: int
    last: int
    start_px: float
    end_px: float

    @classmethod
    def of(cls, values: Sequence[float], start_px: float, end_px: float) -> _Axis:
        first = math.floor(math.log10(min(values)) + 1e-9)
        last = math.ceil(math.log10(max(values)) - 1e-9)
        return cls(first, max(last, first + 1), start_px, end_px)

    def px(self, value: float) -> float:
        part = (math.log10(value) - self.first) / (self.last - self.first)
        return self.start_px + part * (self.end_px - self.start_px)

    @property
    def ticks(self) -> list[float]:
        return [10.0**power for power in range(self.first, self.last + 1)]


def plot(title: str, *, x: str, y: str, lines: Mapping[str, Points]) -> str:
    """Return an SVG document. `x` and `y` name the axes, both logarithmic."""
    points = [point for line in lines.values() for point in line]
    across = _Axis.of([x for x, _ in points], _LEFT, _WIDTH - _RIGHT)
    up = _Axis.of([y for _, y in points], _HEIGHT - _BOTTOM, _TOP)
    labels = _apart({name: up.px(line[-1][1]) for name, line in lines.items()})
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        '<g font-family="sans-serif" font-size="12">',
        _text(_LEFT, 20, title, 'font-weight="bold"'),
        _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 8, x, 'text-anchor="middle"'),
        _text(8, _TOP - 2, y, ""),
        *(
            _grid(across.px(tick), _TOP, across.px(tick), _HEIGHT - _BOTTOM)
            for tick in across.ticks
        ),
        *(_grid(_LEFT, up.px(tick), _WIDTH - _RIGHT, up.px(tick)) for tick in up.ticks),
        *(
            _text(across.px(tick), _HEIGHT - _BOTTOM + 16, f"{tick:,.0f}", 'text-anchor="middle"')
            for tick in across.ticks
        ),
        *(
            _text(_LEFT - 6, up.px(tick) + 4, f"{tick:,g}", 'text-anchor="end"')
            for tick in up.ticks
        ),
    ]
    for number, (name, line) in enumerate(lines.items()):
        color = _COLORS[number % len(_COLORS)]
        path = " ".join(f"{across.px(x):.1f},{up.px(y):.1f}" for x, y in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [
            f'<circle cx="{across.px(x):.1f}" cy="{up.px(y):.1f}" r="3" fill="{color}"/>'
            for x, y in line
        ]
        parts.append(_text(_WIDTH - _RIGHT + 10, labels[name] + 4, name, f'fill="{color}"'))
    return "\n".join([*parts, "</g></svg>", ""])


def _apart(wanted: Mapping[str, float]) -> dict[str, float]:
    """Return places for labels near those wanted, none on another."""
    places: dict[str, float] = {}
    last = -math.inf
    for name, px in sorted(wanted.items(), key=lambda item: item[1]):
        last = places[name] = max(px, last + _LINE_PX)
    return places


def _text(x: float, y: float, text: str, more: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{escape(text)}</text>'


def _grid(x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" stroke="#ddd"/>'
