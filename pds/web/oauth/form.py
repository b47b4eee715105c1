"""`Form`: the fields of a form on one of our pages, and the browser that sent it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from aiohttp import hdrs, web

from pds.accounts.hashing import Asker
from pds.context import AppContext
from pds.fairness.presence import while_present
from pds.oauth.devices.device_sessions import Device, DeviceSessions, Visitor
from pds.web.oauth.payload import parse_fields
from pds.xrpc.body import read_bounded
from pds.xrpc.errors import XrpcError

LIMIT_BYTES: Final = 100 * 1024
_TYPE: Final = "application/x-www-form-urlencoded"


@dataclass(slots=True)
class Form:
    """A form. `device` changes with `rotate`, after which the browser needs new cookies."""

    request: web.Request
    fields: Sequence[tuple[str, str]]
    device: Device
    visitor: Visitor
    asker: Asker
    """Who is counted for the passwords that are checked."""

    def text(self, name: str) -> str:
        """Return the first value of a field; empty if there is none."""
        return next((value for each, value in self.fields if each == name), "")

    def has(self, name: str) -> bool:
        """Whether a box is ticked."""
        return any(each == name for each, _ in self.fields)

    def values(self, name: str) -> list[str]:
        """Return all values of a field."""
        return [value for each, value in self.fields if each == name]

    async def rotate(self, devices: DeviceSessions) -> None:
        """Give the browser a new session id: copies of the old cookies end here."""
        self.device = await devices.recognise(self.visitor, rotate=True)


async def read_form(
    ctx: AppContext, request: web.Request, device: Device, visitor: Visitor
) -> Form:
    """Read the form in a request. Raises `XrpcError` for other bodies, and `InvalidRequest`."""
    kind = request.headers.get(hdrs.CONTENT_TYPE, "").partition(";")[0].strip().lower()
    if kind != _TYPE:
        raise XrpcError(415, message="This is not a form.")
    fields = parse_fields(await read_bounded(request, LIMIT_BYTES))
    group = ctx.client_addresses.of(request).group
    return Form(request, fields, device, visitor, Asker(group, partial(while_present, request)))
