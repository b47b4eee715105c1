"""Messages for values that break their schema, worded for the client."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from itertools import islice
from typing import Any, Final, TypeAlias

from repo.cid import Cid
from repo.syntax import quoted

Check: TypeAlias = Callable[[Any, int], None]
"""A compiled schema: takes a value and the number of containers around it; raises `Mismatch`."""

_SHOWN_ITEMS: Final = 2
"""Items of a list, or keys of an object, that a message repeats."""


class InvalidLexicon(ValueError):
    """A value does not fit its schema, or a schema document is itself malformed.

    The message may be shown to the client. `reason` is the message without its prefix and path.
    """

    def __init__(self, message: str, *, reason: str | None = None) -> None:
        super().__init__(message)
        self.reason = message if reason is None else reason


class Mismatch(ValueError):
    """One broken rule on its way up: each container adds its step to the path.

    So a value that fits its schema never pays for paths.
    """

    def __init__(self, reason: str, *segments: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self._segments = list(segments)

    def add(self, segment: str) -> None:
        """Prepend the step from the enclosing container: `.name` or `[0]`."""
        self._segments.append(segment)

    def at(self, root: str) -> str:
        """Return the reason and the path, such as `Missing required key "password" at $`."""
        return f"{self.reason} at {root}{''.join(reversed(self._segments))}"


def wrong_type(expected: str, value: object, *segments: str) -> Mismatch:
    """Return the mismatch for a value whose type is not `expected`."""
    return Mismatch(f"Expected {expected} value type (got {describe(value)})", *segments)


def wrong_secret(value: object) -> Mismatch:
    """Like `wrong_type`, for a possible password or token: the message names only the type."""
    return Mismatch(f"Expected string value type (got {_type_name(value)})")


def missing_key(name: str) -> Mismatch:
    """Return the mismatch for an object without a required property."""
    return Mismatch(f'Missing required key "{name}"')


def not_one_of(allowed: Iterable[object], value: object, *segments: str) -> Mismatch:
    """Return the mismatch for a value not in `allowed`, which must not be empty."""
    *others, last = map(describe, allowed)
    choice = f"one of {', '.join(others)} or {last}" if others else last
    return Mismatch(f"Expected {choice} (got {describe(value)})", *segments)


def describe(value: object) -> str:
    """Describe a value in a message: scalars in full up to a limit, containers by their outline."""
    if type(value) is list:
        shown = [_describe_item(item) for item in value[:_SHOWN_ITEMS]]
        return f"[{_outline(shown, len(value))}]"
    if type(value) is dict:
        shown = [f"{quoted(str(key))}: ..." for key in islice(value, _SHOWN_ITEMS)]
        return f"{{{_outline(shown, len(value))}}}"
    if type(value) is str:
        return quoted(value)
    if value is None or type(value) in (bool, int, float):
        return _describe_number(value)
    return _type_name(value)


def _describe_item(value: object) -> str:
    if type(value) is list:
        return "[...]" if value else "[]"
    if type(value) is dict:
        return "{...}" if value else "{}"
    return describe(value)


def _describe_number(value: object) -> str:
    """Return a number, boolean or null as JSON, cut to fit a message."""
    try:
        text = json.dumps(value)
    except ValueError:  # an integer with thousands of digits
        return "integer"
    return text if len(text) <= 40 else text[:40] + "…"


def _outline(shown: list[str], length: int) -> str:
    return ", ".join([*shown, "..."] if length > len(shown) else shown)


def _type_name(value: object) -> str:
    return _TYPE_NAMES.get(type(value), "object")


_TYPE_NAMES: Final[dict[type, str]] = {
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "float",
    str: "string",
    bytes: "bytes",
    Cid: "cid",
    list: "array",
}
