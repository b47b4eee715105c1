"""AT URIs: `at://<authority>[/<collection>[/<rkey>]]`, in the restricted form of Lexicon.

Spec: https://atproto.com/specs/at-uri-scheme
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from repo.syntax.errors import InvalidSyntax
from repo.syntax.identifiers import (
    Did,
    Handle,
    Nsid,
    Rkey,
    parse_at_identifier,
    parse_nsid,
    parse_rkey,
)

MAX_AT_URI_LENGTH: Final = 8192
_SCHEME: Final = "at://"


@dataclass(slots=True, frozen=True)
class AtUri:
    """The parts of an AT URI. `str(uri)` gives the URI again."""

    authority: Did | Handle
    collection: Nsid | None = None
    rkey: Rkey | None = None

    def __str__(self) -> str:
        parts = (part for part in (self.authority, self.collection, self.rkey) if part is not None)
        return _SCHEME + "/".join(parts)


def parse_at_uri(text: str) -> AtUri:
    """Parse an AT URI. A query, a fragment and a trailing slash are refused."""
    if len(text) > MAX_AT_URI_LENGTH or not text.startswith(_SCHEME):
        raise InvalidSyntax("at-uri", text)
    authority, *path = text[len(_SCHEME) :].split("/", 3)
    if len(path) > 2:
        raise InvalidSyntax("at-uri", text)
    try:
        return AtUri(
            parse_at_identifier(authority),
            parse_nsid(path[0]) if path else None,
            parse_rkey(path[1]) if len(path) == 2 else None,
        )
    except InvalidSyntax as exc:
        raise InvalidSyntax("at-uri", text) from exc
