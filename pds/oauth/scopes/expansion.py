"""The scopes of a token, in which what permission sets list takes the place of `include:`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from pds.oauth.scopes.include import IncludeScope, Permission

_INCLUDE: Final = "include"


def includes_of(scope: str) -> tuple[IncludeScope, ...]:
    """Return the `include:` scopes of a space-separated list."""
    if _INCLUDE not in scope:
        return ()
    parsed = (IncludeScope.parse(text) for text in scope.split(" "))
    return tuple(include for include in parsed if include is not None)


def expand(scope: str, sets: Mapping[str, Iterable[Permission]]) -> str:
    """Return a list of scopes without `include:`. `sets` has the set of every include.

    As in the reference, what the sets allow comes first, and all else follows unchanged.
    """
    included: list[str] = []
    others: list[str] = []
    for text in scope.split(" "):
        include = IncludeScope.parse(text)
        if include is None:
            others.append(text)
        else:
            included += map(str, include.permissions(sets[include.nsid]))
    return " ".join([*included, *others])
