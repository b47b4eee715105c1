"""The values that fields of scopes take: method names, references to services, media types."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from repo.syntax import InvalidSyntax, parse_nsid

ANY: Final = "*"
ANY_TYPE: Final = "*/*"

# The DID methods of atproto, a port only for tests on one machine, and a URL fragment.
ATPROTO_DID: Final = r"did:(?:plc:[a-z2-7]{24}|web:localhost%3A[0-9]{1,5}|web:[A-Za-z0-9._-]+)"
FRAGMENT: Final = r"#(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})+"
_SERVICE: Final = re.compile(ATPROTO_DID + FRAGMENT).fullmatch
_TYPE: Final = re.compile(r"[^/ ]+/[^/ ]+").fullmatch


def is_nsid_or_any(value: str) -> bool:
    """Whether a value is an NSID or `*`."""
    return value == ANY or is_nsid(value)


def is_nsid(value: str) -> bool:
    """Whether a value is an NSID."""
    try:
        parse_nsid(value)
    except InvalidSyntax:
        return False
    return True


def is_service(value: str) -> bool:
    """Whether a value refers to a service: a DID with the id of one of its services."""
    return _SERVICE(value) is not None


def is_media_type(value: str) -> bool:
    """Whether a value has the form of a media type without parameters."""
    return _TYPE(value) is not None and ANY not in value


def is_media_range(value: str) -> bool:
    """Whether a value is a media type, `type/*` or `*/*`."""
    return _TYPE(value) is not None and (ANY not in value or value.endswith("/*"))


def all_or_each(values: Iterable[str]) -> tuple[str, ...]:
    """Return `*` alone if it is among the values, else each value once, in order of the text."""
    each = frozenset(values)
    return (ANY,) if ANY in each else tuple(sorted(each))
