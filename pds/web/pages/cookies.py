"""The cookies of a browser, and the token by which a form shows that it comes from our page."""

from __future__ import annotations

import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

from aiohttp import hdrs, web

from pds.oauth.devices.device_sessions import Device, Visitor
from pds.read_context import ReadContext

DEVICE_COOKIE: Final = "dev-id"
SESSION_COOKIE: Final = "ses-id"
KEY_COOKIE: Final = "browser"
LANGUAGE_COOKIE: Final = "lang"
NOTICE_COOKIE: Final = "notice"
_TEN_YEARS_S: Final = 315_532_800
_NOTICE_S: Final = 60
_NOTICE_CHARACTERS: Final = 700
"""In UTF-8 and base64 less than the 4,096 bytes that a cookie may have."""


def visitor_of(ctx: ReadContext, request: web.Request, *, secure: bool) -> Visitor:
    """Return what a request says about its browser."""
    cookies = request.cookies
    return Visitor(
        cookies.get(DEVICE_COOKIE),
        cookies.get(SESSION_COOKIE),
        ctx.client_addresses.of(request).text,
        request.headers.get(hdrs.USER_AGENT),
        cookies.get(_key_cookie(secure)),
    )


def set_cookies(
    response: web.StreamResponse, visitor: Visitor, device: Device, *, secure: bool
) -> None:
    """Give the browser the ids of its device if they have changed, and a key if it has none."""
    if visitor.key is None:
        set_cookie(response, _key_cookie(secure), secrets.token_hex(16), secure=secure)
    if not device.changed:
        return
    for name, value in ((DEVICE_COOKIE, device.id), (SESSION_COOKIE, device.session_id)):
        set_cookie(response, name, value, secure=secure)


def set_cookie(
    response: web.StreamResponse,
    name: str,
    value: str,
    *,
    secure: bool,
    max_age_s: int = _TEN_YEARS_S,
) -> None:
    """Set a cookie of this server, which no script reads."""
    response.set_cookie(
        name, value, max_age=max_age_s, path="/", secure=secure, httponly=True, samesite="Lax"
    )


def _key_cookie(secure: bool) -> str:
    # Cookies of such names are set by the host itself alone: not by hosts beside or below it, where
    # strangers may have pages, nor on the way.
    return f"__Host-{KEY_COOKIE}" if secure else KEY_COOKIE


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


class Notices:
    """A sentence for the next page of a browser: what has just been done. Kept in a cookie."""

    def __init__(self, secret: bytes, *, secure: bool) -> None:
        self._secret = secret
        self._secure = secure

    def set(self, response: web.StreamResponse, device_id: str, text: str) -> None:
        """Leave a text for the next page, shortened to what browsers keep."""
        value = urlsafe_b64encode(text[:_NOTICE_CHARACTERS].encode()).decode()
        set_cookie(
            response,
            NOTICE_COOKIE,
            f"{self._mac(device_id, value)}.{value}",
            secure=self._secure,
            max_age_s=_NOTICE_S,
        )

    def read(self, request: web.Request, device_id: str) -> str:
        """Return the text that was left; empty if there is none, or none of ours."""
        mac, _, value = request.cookies.get(NOTICE_COOKIE, "").partition(".")
        expected = self._mac(device_id, value)
        if not value or not hmac.compare_digest(expected.encode(), mac.encode()):
            return ""
        return urlsafe_b64decode(value).decode()

    def forget(self, response: web.StreamResponse) -> None:
        """Remove the text that was shown."""
        response.del_cookie(NOTICE_COOKIE, path="/")

    def _mac(self, device_id: str, value: str) -> str:
        return hmac.digest(self._secret, f"{device_id} {value}".encode(), "sha256").hex()
