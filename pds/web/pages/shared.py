"""What all pages of a server share: templates, cookies, secrets, limits."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from pds.context import AppContext
from pds.oauth.derived_secrets import derived_secret
from pds.oauth.devices.device_sessions import DeviceSessions
from pds.rate_limits.limiter import RateLimiter
from pds.web.pages.brand import Brand
from pds.web.pages.cookies import FormTokens, Notices
from pds.web.pages.rendering import Templates


class Shared:
    """The parts that pages of one server use."""

    def __init__(
        self, ctx: AppContext, limiter: RateLimiter | None, packages: Mapping[str, str]
    ) -> None:
        """`limiter` counts what people try; None without rate limits.

        `packages` has the package of the templates of each area.
        """
        self.ctx = ctx
        self.limiter = limiter
        settings = ctx.settings
        parts = urlsplit(settings.public_url)
        self.origin = f"{parts.scheme}://{parts.netloc}"
        """Where forms must come from."""
        self.is_secure = parts.scheme == "https"
        jwt_secret = settings.secrets.jwt_secret
        self.devices = DeviceSessions(ctx.accounts.db, derived_secret(jwt_secret, "devices"))
        self.form_tokens = FormTokens(derived_secret(jwt_secret, "forms"))
        self.notices = Notices(derived_secret(jwt_secret, "notices"), secure=self.is_secure)
        self.templates = Templates(
            packages, service_name=settings.service_name, brand=Brand.of(settings)
        )
