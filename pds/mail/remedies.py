"""What an operator changes in the URL of a mail server that does not take mails."""

from __future__ import annotations

import ssl
from typing import Final

TLS_FIRST_PORT: Final = 465
"""Where mail servers expect TLS from the start, by RFC 8314; elsewhere they greet in the clear."""

_PLAIN: Final = "smtp://"
_TLS: Final = "smtps://"


def starts_with_tls(setting: str) -> str:
    """For a URL with `smtp://` whose server waits for TLS before it greets."""
    return f"The server expects TLS from the start: write {_TLS} in place of {_PLAIN} in {setting}."


def greets_in_the_clear(setting: str) -> str:
    """For a URL with `smtps://` whose server greets without TLS."""
    return (
        f"The server does not begin with TLS: write {_PLAIN} in place of {_TLS} in {setting}. TLS "
        "then begins as soon as the server offers it; ?requireTLS=true insists on it."
    )


def not_trusted(setting: str) -> str:
    """For a certificate that cannot be verified."""
    return (
        f"Let {setting} name the host as its certificate does; for a certificate that is its own, "
        "append ?tls.rejectUnauthorized=false."
    )


def not_reached(setting: str) -> str:
    """For a server that does not answer."""
    return f"Correct host and port in {setting}, or open the way there: many hosters close port 25."


def find_tls_error(exc: BaseException | None) -> ssl.SSLError | None:
    """The failure of TLS that an error comes from, if it is one."""
    while exc is not None and not isinstance(exc, ssl.SSLError):
        exc = exc.__cause__
    return exc
