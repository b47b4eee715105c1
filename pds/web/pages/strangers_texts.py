"""Names and titles that strangers have chosen, made fit for a page on which people decide."""

from __future__ import annotations

import re
from typing import Final
from unicodedata import normalize

_BLANKS: Final = frozenset("\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters and signs that are printed as nothing."""
_MARK: Final = r"[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]"
_STACKED: Final = re.compile(rf"(?<={_MARK}{{3}}){_MARK}+|^{_MARK}+")
"""Marks above and below a letter that already has three, or that stand on nothing."""


def on_one_line(text: str, at_most: int) -> str:
    """Return a short line that cannot hide, turn or cover what is around it; it may be empty."""
    known = normalize("NFC", text[: 16 * at_most])
    plain = "".join(" " if c in _BLANKS or not c.isprintable() else c for c in known)
    return _STACKED.sub("", " ".join(plain.split()))[:at_most].strip()


def may_look_like_another(host: str) -> bool:
    """Whether a host's name has letters beyond ASCII, which may look like those of another name."""
    return any(label.startswith("xn--") for label in host.lower().split("."))
