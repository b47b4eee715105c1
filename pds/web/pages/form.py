"""`Form`: the fields of a form that a browser has sent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import hdrs, web

from pds.web.pages.errors import PageError
from pds.web.pages.fields import InvalidForm, parse_fields
from pds.xrpc.body import read_bounded

LIMIT_BYTES: Final = 100 * 1024
MAX_FIELDS: Final = 2_100
"""More than an OAuth request can ask for scopes, each of which is a box on the page of consent."""
_TYPE: Final = "application/x-www-form-urlencoded"


@dataclass(slots=True, frozen=True)
class Form:
    """A form, which may have several values for a name."""

    fields: Sequence[tuple[str, str]]

    def text(self, name: str) -> str:
        """Return the first value of a field; empty if there is none."""
        return next((value for each, value in self.fields if each == name), "")

    def has(self, name: str) -> bool:
        """Whether a box is ticked."""
        return any(each == name for each, _ in self.fields)

    def values(self, name: str) -> list[str]:
        """Return all values of a field."""
        return [value for each, value in self.fields if each == name]


async def read_form(request: web.Request) -> Form:
    """Read the form in a request. Raises `PageError` and `XrpcError` for other bodies."""
    kind = request.headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0].strip().lower()
    if kind != _TYPE:
        raise PageError(415, "This is not a form.")
    try:
        return Form(parse_fields(await read_bounded(request, LIMIT_BYTES), max_fields=MAX_FIELDS))
    except InvalidForm as exc:
        raise PageError(400, str(exc)) from exc
