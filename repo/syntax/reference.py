"""References from a record: URIs of any scheme.

Spec: https://atproto.com/specs/lexicon#uri
"""

from __future__ import annotations

import re
from typing import Final

from repo.syntax.errors import InvalidSyntax

MAX_URI_LENGTH: Final = 8192

_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*+:/*+[^\s\x00-\x1f\x7f\ud800-\udfff]++").fullmatch


def parse_uri(text: str) -> str:
    """Check the outer form of a URI: a scheme, followed by anything without white space."""
    if len(text) > MAX_URI_LENGTH or _URI(text) is None:
        raise InvalidSyntax("uri", text)
    return text
