"""Fair shares of the concurrent requests that strangers cause."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Final, Protocol

_COUNTRY_LABEL: Final = 2
_SHORT_LABEL: Final = 3


class Share(Protocol):
    """Bounds concurrent requests, fairly among the parties they are made for.

    The implementation knows the requester. `domain` is the stranger's domain that is asked, or
    empty for a host that strangers cannot choose.
    """

    def turn(self, domain: str, /) -> AbstractAsyncContextManager[None]:
        """Hold a turn during an `async with` block. The implementation defines what it raises."""


class Unshared:
    """A `Share` without limits, for a program that makes requests only for itself."""

    def turn(self, _: str, /) -> AbstractAsyncContextManager[None]:
        """Return a turn at once."""
        return nullcontext()


def domain_of(host: str) -> str:
    """Return the registered domain of a host, as far as its name shows.

    This is the last two labels, or three under a country's second-level domain such as `co.uk`. An
    address is its own domain.
    """
    labels = host.lower().rstrip(".").split(".")
    if labels[-1].isdigit() or ":" in host:
        return host
    kinds = len(labels[-1]) == _COUNTRY_LABEL and len(labels[-2:][0]) <= _SHORT_LABEL
    return ".".join(labels[-3:] if kinds else labels[-2:])
