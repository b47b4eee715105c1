"""Backlinks: what a record points at, used to detect a second follow, like or block."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from repo.dagcbor import Value
from repo.syntax import InvalidSyntax, is_did, parse_at_uri

_OF_ACTORS: Final = frozenset({"app.bsky.graph.follow", "app.bsky.graph.block"})
_OF_RECORDS: Final = frozenset({"app.bsky.feed.like", "app.bsky.feed.repost"})


@dataclass(slots=True, frozen=True)
class Backlink:
    """A row of the `backlink` table, without the URI of its record."""

    path: str
    """The link's path in the record, such as `subject.uri`."""
    link_to: str
    """The DID or at-uri it points at."""


def backlinks_of(record: Mapping[str, Value]) -> tuple[Backlink, ...]:
    """Return a record's backlinks: at most one, and none for most record types."""
    kind, subject = record.get("$type"), record.get("subject")
    if kind in _OF_ACTORS:
        if isinstance(subject, str) and is_did(subject):
            return (Backlink("subject", subject),)
    elif kind in _OF_RECORDS and isinstance(subject, dict):
        uri = subject.get("uri")
        if isinstance(uri, str) and _is_at_uri(uri):
            return (Backlink("subject.uri", uri),)
    return ()


def _is_at_uri(text: str) -> bool:
    try:
        parse_at_uri(text)
    except InvalidSyntax:
        return False
    return True
