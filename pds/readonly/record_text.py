"""Records as text for people: what they say, and all of them as JSON. Either is bounded."""

from __future__ import annotations

import json
import re
from typing import Final

from repo.dagcbor import Value
from repo.datamodel import json_default

JSON_SHOWN_CHARACTERS: Final = 200_000
"""More than a phone shows with ease; `getRecord` has the rest."""
TEXT_SHOWN_CHARACTERS: Final = 10_000
PREVIEW_CHARACTERS: Final = 200

_FIELDS: Final = ("text", "displayName", "name", "title", "description")
"""What is there to be read, in various kinds of records."""
_UNSEEN: Final = re.compile("[\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
"""What turns the direction of a text around, and spaces of no width. Not the joiners, of which
scripts and emoji are made."""
_INDENTED: Final = json.JSONEncoder(ensure_ascii=False, indent=2, default=json_default)
_COMPACT: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=json_default)


def text_of(value: Value) -> str | None:
    """The beginning of what a record says, or None where it has no words."""
    if not isinstance(value, dict):
        return None
    texts = (value.get(name) for name in _FIELDS)
    found = next((text for text in texts if isinstance(text, str) and text.strip()), None)
    return None if found is None else _shortened(found, TEXT_SHOWN_CHARACTERS)


def preview_of(value: Value) -> str:
    """A record in a list: the beginning of what it says, or else of its JSON."""
    text = text_of(value) or _beginning(_COMPACT, value, PREVIEW_CHARACTERS + 1)
    return _shortened(text, PREVIEW_CHARACTERS)


def json_of(value: Value) -> tuple[str, bool]:
    """The beginning of a record as indented JSON, and whether that is all of it.

    What cannot be seen is escaped, so that it can.
    """
    text = _beginning(_INDENTED, value, JSON_SHOWN_CHARACTERS + 1)
    shown = _UNSEEN.sub(_escape, text[:JSON_SHOWN_CHARACTERS])
    return shown, len(text) <= JSON_SHOWN_CHARACTERS


def _beginning(encoder: json.JSONEncoder, value: Value, characters: int) -> str:
    # Part by part: indented, a record of deep nesting is a hundred times its size.
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
