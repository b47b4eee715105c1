"""The operator's colours, and the text that can be read on them.

Spec: https://www.w3.org/TR/css-color-4/, https://www.w3.org/TR/WCAG22/#dfn-relative-luminance
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from pds.config.groups.service import BrandingSettings

_COLOR: Final = re.compile(r"#[0-9a-fA-F]{3,8}|[a-zA-Z]{3,30}|(rgb|hsl)a?\([0-9.,%/ a-z]{1,60}\)")
_HEX: Final = re.compile(r"#(?:[0-9a-fA-F]{3,4}|[0-9a-fA-F]{6}|[0-9a-fA-F]{8})")
_RGB: Final = re.compile(r"rgba?\(\s*(\d{1,3})[\s,]+(\d{1,3})[\s,]+(\d{1,3})\s*(?:[,/][^)]*)?\)")
_SHORT: Final = 5
_BLACK_ABOVE: Final = 0.179
"""The luminance at which black and white have the same contrast, of 4.58 to 1."""


def color_rule(branding: BrandingSettings) -> str:
    """Return the rule of the style sheet that sets the operator's colours."""
    colors = {
        "brand": branding.primary_color,
        "error": branding.error_color,
        "warning": branding.warning_color,
        "info": branding.info_color,
        "success": branding.success_color,
    }
    return f":root {{ {' '.join(_declarations(colors))} }}\n"


def text_color_on(color: str) -> str | None:
    """Return the more readable of black and white; None for a colour that has a name or a hue."""
    channels = _channels(color)
    if channels is None:
        return None
    red, green, blue = map(_linear, channels)
    is_light = 0.2126 * red + 0.7152 * green + 0.0722 * blue > _BLACK_ABOVE
    return "#000" if is_light else "#fff"


def _declarations(colors: dict[str, str | None]) -> Iterator[str]:
    for name, value in colors.items():
        # A setting that is no colour would end the rule, and style what follows.
        if value is None or not _COLOR.fullmatch(value):
            continue
        yield f"--{name}: {value};"
        on_it = text_color_on(value)
        if on_it is not None:
            yield f"--on-{name}: {on_it};"


def _channels(color: str) -> tuple[int, int, int] | None:
    """Return red, green and blue, of 255 each; what shines through counts as opaque."""
    if _HEX.fullmatch(color):
        digits = color[1:]
        if len(digits) < _SHORT:
            digits = "".join(2 * digit for digit in digits)
        return int(digits[:2], 16), int(digits[2:4], 16), int(digits[4:6], 16)
    found = _RGB.fullmatch(color.strip().lower())
    if found is None:
        return None
    red, green, blue = (min(int(part), 255) for part in found.groups())
    return red, green, blue


def _linear(channel: int) -> float:
    share = channel / 255
    return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4
