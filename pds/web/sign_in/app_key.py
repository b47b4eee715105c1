"""`AppKey`: a secret for an authenticator app, as a picture, a link and text."""

from __future__ import annotations

from dataclasses import dataclass

import segno
from markupsafe import Markup

from pds.second_factors.totp import provisioning_uri


@dataclass(slots=True, frozen=True)
class AppKey:
    """What a page shows of a secret, until a code of the app confirms it."""

    drawing: Markup
    """The QR code, an `svg` element."""
    uri: str
    text: str
    """The secret in groups of four characters."""
    offer: str
    """The secret, sealed for the form."""

    @classmethod
    def of(cls, secret: str, offer: str, *, account: str, issuer: str) -> AppKey:
        """Return the key with which an app shows codes for an account at an issuer."""
        uri = provisioning_uri(secret, account=account, issuer=issuer)
        # On white with a wide margin, in dark mode as well: cameras need it.
        drawing = segno.make(uri, error="m", micro=False).svg_inline(
            scale=4, border=4, light="#fff", svgclass=None, lineclass=None, omitsize=True
        )
        groups = " ".join(secret[at : at + 4] for at in range(0, len(secret), 4))
        # The drawing has modules of the code, and no text.
        return cls(Markup(drawing), uri, groups, offer)  # noqa: S704
