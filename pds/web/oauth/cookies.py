"""The cookies of a browser, and the token by which a form shows that it comes from our page."""

from __future__ import annotations

import hmac
from typing import Final

from aiohttp import hdrs, web

from pds.context import AppContext
from pds.oauth.devices.device_sessions import Device, Visitor

DEVICE_COOKIE: Final = "dev-id"
SESSION_COOKIE: Final = "ses-id"
_TEN_YEARS_S: Final = 315_532_800


def visitor_of(ctx: AppContext, request: web.Request) -> Visitor:
    """Return what a request says about its browser."""
    cookies = request.cookies
    return Visitor(
        cookies.get(DEVICE_COOKIE),
        cookies.get(SESSION_COOKIE),
        ctx.client_addresses.of(request).text,
        request.headers.get(hdrs.USER_AGENT),
    )


def set_cookies(response: web.StreamResponse, device: Device, *, secure: bool) -> None:
    """Give the browser the ids of its device, if they have changed."""
    if not device.changed:
        return
    for name, value in ((DEVICE_COOKIE, device.id), (SESSION_COOKIE, device.session_id)):
        response.set_cookie(
            name,
            value,
            max_age=_TEN_YEARS_S,
            path="/",
            secure=secure,
            httponly=True,
            samesite="Lax",
        )


class FormTokens:
    """Tokens in forms: only a page that this server sent to the device can have them."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def make(self, device_id: str) -> str:
        """Return the token for forms on pages of a device."""
        return hmac.digest(self._secret, device_id.encode(), "sha256").hex()

    def is_valid(self, device_id: str, token: str) -> bool:
        """Whether a form has the token of the device, compared in constant time."""
        return hmac.compare_digest(self.make(device_id).encode(), token.encode())
