"""The string formats of Lexicon, by name.

Spec: https://atproto.com/specs/lexicon#string-formats
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from repo import syntax
from repo.cid import Cid, InvalidCid
from repo.syntax import InvalidSyntax


def parse_cid(text: str) -> Cid:
    """Parse a CID in the one form this server reads, stricter than "a CID in some base"."""
    if text.startswith("b"):
        try:
            return Cid.parse(text)
        except InvalidCid:
            pass
    raise InvalidSyntax("CID string", text)


FORMATS: Final[Mapping[str, Callable[[str], object]]] = {
    "at-identifier": syntax.parse_at_identifier,
    "at-uri": syntax.parse_at_uri,
    "cid": parse_cid,
    "datetime": syntax.parse_datetime,
    "did": syntax.parse_did,
    "handle": syntax.parse_handle,
    "language": syntax.parse_language,
    "nsid": syntax.parse_nsid,
    "record-key": syntax.parse_rkey,
    "tid": syntax.parse_tid,
    "uri": syntax.parse_uri,
}
"""Parsers by format. Each takes the text and raises `InvalidSyntax`, naming the format."""
