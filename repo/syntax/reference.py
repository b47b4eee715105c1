"""References from a record: URIs of any scheme, and CIDs as text.

Spec: https://atproto.com/specs/lexicon#uri and #cid
"""

from __future__ import annotations

import re
from typing import Final

from repo.syntax.errors import InvalidSyntax

MAX_URI_LENGTH: Final = 8192
MAX_CID_LENGTH: Final = 256
MIN_CID_LENGTH: Final = 8

_URI: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*+:/*+[^\s\x00-\x1f\x7f\ud800-\udfff]++").fullmatch
_CID: Final = re.compile(r"(?!Qm)[A-Za-z0-9+=]++").fullmatch


def parse_uri(text: str) -> str:
    """Check the outer form of a URI: a scheme, followed by anything without white space."""
    if len(text) > MAX_URI_LENGTH or _URI(text) is None:
        raise InvalidSyntax("uri", text)
    return text


def parse_cid_text(text: str) -> str:
    """Check that text may be a CID in some base, without decoding it; CIDv0 is refused.

    Use `Cid.parse` for a CID that will be used.
    """
    if not MIN_CID_LENGTH <= len(text) <= MAX_CID_LENGTH or _CID(text) is None:
        raise InvalidSyntax("CID string", text)
    return text
