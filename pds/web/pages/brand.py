"""`Brand`: the operator's name, logo and links, which every page shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pds.config import Settings
from pds.config.addresses import is_http_url
from pds.translations.language import deferred as _
from pds.web.pages.pictures import LOGO

_MAILTO: Final = "mailto:"


@dataclass(slots=True, frozen=True)
class Brand:
    """What tells on a page whose server this is."""

    name: str
    logo: str
    """Where it is on this server; empty if there is none."""
    links: Sequence[tuple[str, str]]
    """Their texts, in English, and where they lead."""

    @classmethod
    def of(cls, settings: Settings) -> Brand:
        """Take it from the settings."""
        service, branding = settings.service, settings.branding
        links = (
            (_("Home page"), branding.home_url),
            (_("Help"), branding.support_url),
            (_("Terms of service"), service.terms_of_service_url),
            (_("Privacy policy"), service.privacy_policy_url),
        )
        shown = [(text, url) for text, url in links if url and is_http_url(url)]
        if service.contact_email_address:
            shown.append((_("Contact"), _MAILTO + service.contact_email_address))
        return cls(settings.service_name, LOGO if branding.logo_url else "", shown)
