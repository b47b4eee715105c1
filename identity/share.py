"""A share of what the requests that strangers cause have at a time."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Final, Protocol

_COUNTRY_LABEL: Final = 2
_SHORT_LABEL: Final = 3


class Share(Protocol):
    """Lets a bounded number go ahead at a time, fairly among those they are held for.

    Who asks is for the one to know who makes the share; what is asked is a domain of strangers, or
    nothing that strangers could choose, which is an empty text.
    """

    def turn(self, domain: str, /) -> AbstractAsyncContextManager[None]:
        """Go ahead for the length of an `async with` block. What it raises is its maker's."""


class Unshared:
    """For a program that asks for nobody but itself."""

    def turn(self, _: str, /) -> AbstractAsyncContextManager[None]:
        """Go ahead at once."""
        return nullcontext()


def domain_of(host: str) -> str:
    """What the names of one owner have in common, as far as a name tells.

    These are its last two labels, or three where the second is one of a country's kinds, such as
    `co.uk`. An address is its own.
    """
    labels = host.lower().rstrip(".").split(".")
    if labels[-1].isdigit() or ":" in host:
        return host
    kinds = len(labels[-1]) == _COUNTRY_LABEL and len(labels[-2:][0]) <= _SHORT_LABEL
    return ".".join(labels[-3:] if kinds else labels[-2:])
