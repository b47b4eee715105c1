"""Records as text for people: their words, and the record as JSON. Both are limited."""

from __future__ import annotations

import json
import re
from typing import Final

from repo.dagcbor import Value
from repo.datamodel import json_default

JSON_SHOWN_CHARACTERS: Final = 200_000
"""More than a phone shows easily; `getRecord` has the rest."""
TEXT_SHOWN_CHARACTERS: Final = 10_000
PREVIEW_CHARACTERS: Final = 200

_FIELDS: Final = ("text", "displayName", "name", "title", "description")
"""The readable text, in various kinds of records."""
UNSEEN: Final = re.compile("[\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
"""Characters that reverse the direction of text, and spaces without width; not the joiners, which
scripts and emoji need."""
_INDENTED: Final = json.JSONEncoder(ensure_ascii=False, indent=2, default=json_default)
_COMPACT: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=json_default)


def text_of(value: Value) -> str | None:
    """Return the beginning of a record's text; None if it has none."""
    if not isinstance(value, dict):
        return None
    texts = (value.get(name) for name in _FIELDS)
    found = next((text for text in texts if isinstance(text, str) and text.strip()), None)
    return None if found is None else _shortened(found, TEXT_SHOWN_CHARACTERS)


def preview_of(value: Value) -> str:
    """Return a record's preview for a list: the beginning of its text, or else of its JSON."""
    text = text_of(value) or _beginning(_COMPACT, value, PREVIEW_CHARACTERS + 1)
    return _shortened(text, PREVIEW_CHARACTERS)


def json_of(value: Value) -> tuple[str, bool]:
    """Return the beginning of a record as indented JSON, and whether that is all of it.

    Invisible characters are escaped, so that they can be seen.
    """
    text = _beginning(_INDENTED, value, JSON_SHOWN_CHARACTERS + 1)
    shown = UNSEEN.sub(_escape, text[:JSON_SHOWN_CHARACTERS])
    return shown, len(text) <= JSON_SHOWN_CHARACTERS


def _beginning(encoder: json.JSONEncoder, value: Value, characters: int) -> str:
    # Part by part: indented, a deeply nested record is a hundred times its size.
    parts, length = [], 0
    for part in encoder.iterencode(value):
        parts.append(part)
        length += len(part)
        if length >= characters:
            break
    return "".join(parts)[:characters]


def _shortened(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - 1] + "…"


def _escape(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"
