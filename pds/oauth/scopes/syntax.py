"""The syntax that all scopes for resources share: `resource[:positional][?name=value&…]`.

Spec: https://atproto.com/specs/permission#scope-string-syntax
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import parse_qsl, quote, unquote_to_bytes

_MALFORMED: Final = re.compile(r"%(?![0-9A-Fa-f]{2})").search
# What the reference writes without encoding, except `%`, and `+` in values, which would not come
# back as they were.
_PLAIN_POSITIONAL: Final = "!*'():/+,@"
_PLAIN_VALUE: Final = "*:/,@"


def read_fields(
    text: str, resource: str, positional: str, *names: str
) -> Mapping[str, tuple[str, ...]] | None:
    """Return the values of each field of a scope for `resource`; None if it is no such scope.

    The field `positional` comes after the colon or by its name, but not both ways. Other fields
    than this and `names` make a scope invalid, for nobody knows how they limit it.
    """
    head, _, query = text.partition("?")
    found, colon, encoded = head.partition(":")
    if found != resource:
        return None
    fields: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name != positional and name not in names:
            return None
        fields.setdefault(name, []).append(value)
    if colon:
        decoded = _decode(encoded)
        if positional in fields or decoded is None:
            return None
        fields[positional] = [decoded]
    return {name: tuple(values) for name, values in fields.items()}


def write_scope(
    resource: str, positional: tuple[str, Iterable[str]], *fields: tuple[str, Iterable[str]]
) -> str:
    """Return the text of a scope. A single value of `positional` comes after the colon."""
    name, values = positional[0], tuple(positional[1])
    pairs = [(name, value) for name, several in fields for value in several]
    if len(values) == 1:
        head = f"{resource}:{quote(values[0], safe=_PLAIN_POSITIONAL)}"
    else:
        head, pairs = resource, [*((name, value) for value in values), *pairs]
    query = "&".join(f"{name}={quote(value, safe=_PLAIN_VALUE)}" for name, value in pairs)
    return f"{head}?{query}" if query else head


def _decode(encoded: str) -> str | None:
    """Return what a percent-encoded text stands for; None if it is malformed."""
    if _MALFORMED(encoded):
        return None
    try:
        return unquote_to_bytes(encoded).decode()
    except UnicodeDecodeError:
        return None
