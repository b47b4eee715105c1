"""hCaptcha on the page for signing up, where the operator has set it up.

Spec: https://docs.hcaptcha.com
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

import structlog

from identity.http import FetchError, SafeHttp
from pds.config import Settings

FIELD: Final = "h-captcha-response"
"""The field that hCaptcha's script adds to the form."""
SCRIPT: Final = "https://js.hcaptcha.com/1/api.js"
ORIGINS: Final = ("https://hcaptcha.com", "https://*.hcaptcha.com")
"""What the page may load from while there is a captcha on it."""
_LONGEST_TOKEN: Final = 10_000
_TIMEOUT_MS: Final = 10_000

_log = structlog.get_logger(__name__)


class CaptchaUnavailable(Exception):
    """hCaptcha does not answer, so nobody can be checked."""


@dataclass(slots=True, frozen=True)
class Captcha:
    """A captcha of one site."""

    site_key: str
    secret_key: str
    verify_url: str
    http: SafeHttp

    @classmethod
    def of(cls, settings: Settings, http: SafeHttp) -> Captcha | None:
        """Return the captcha of the settings; None unless all of them are given."""
        site_key, secret_key = settings.oauth.hcaptcha_site_key, settings.oauth.hcaptcha_secret_key
        if not (site_key and secret_key and settings.oauth.hcaptcha_token_salt):
            return None
        return cls(site_key, secret_key, settings.oauth.hcaptcha_verify_url, http)

    async def is_solved(self, tokens: Sequence[str], address: str) -> bool:
        """Ask hCaptcha whether the token of a form is good. Raises `CaptchaUnavailable`."""
        if len(tokens) != 1 or not 0 < len(tokens[0]) <= _LONGEST_TOKEN:
            return False
        body = {
            "secret": self.secret_key,
            "response": tokens[0],
            "remoteip": address,
            "sitekey": self.site_key,
        }
        try:
            response = await self.http.request(
                "POST",
                self.verify_url,
                trusted=True,
                headers={"Content-Type": "application/x-www-form-urlencoded"},
                body=urlencode(body).encode(),
                timeout_ms=_TIMEOUT_MS,
            )
            response.raise_for_status()
            answer = response.json()
        except FetchError as exc:
            _log.error(
                "hCaptcha cannot be asked, so nobody can sign up",
                reason=str(exc),
                remedy="Look whether this server reaches it, or unset PDS_HCAPTCHA_SITE_KEY.",
            )
            raise CaptchaUnavailable from exc
        return isinstance(answer, dict) and answer.get("success") is True
