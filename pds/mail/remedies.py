"""Remedies for mail failures: what to change in the URL of the mail server."""

from __future__ import annotations

import ssl
from typing import Final

TLS_FIRST_PORT: Final = 465
"""The port for TLS from the start (RFC 8314); on others, servers greet without TLS."""

_PLAIN: Final = "smtp://"
_TLS: Final = "smtps://"


def starts_with_tls(setting: str) -> str:
    """Return the remedy for an `smtp://` URL whose server expects TLS before its greeting."""
    return f"The server expects TLS from the start: write {_TLS} in place of {_PLAIN} in {setting}."


def greets_in_the_clear(setting: str) -> str:
    """Return the remedy for an `smtps://` URL whose server greets without TLS."""
    return (
        f"The server does not begin with TLS: write {_PLAIN} in place of {_TLS} in {setting}. TLS "
        "then begins as soon as the server offers it; ?requireTLS=true insists on it."
    )


def not_trusted(setting: str) -> str:
    """Return the remedy for a certificate that cannot be verified."""
    return (
        f"In {setting}, use the host name of its certificate; for a self-signed certificate, "
        "append ?tls.rejectUnauthorized=false."
    )


def not_reached(setting: str) -> str:
    """Return the remedy for a server that does not respond."""
    return f"Correct host and port in {setting}, or unblock them: many hosters block port 25."


def find_tls_error(exc: BaseException | None) -> ssl.SSLError | None:
    """Return the TLS error that caused an exception, if there is one."""
    while exc is not None and not isinstance(exc, ssl.SSLError):
        exc = exc.__cause__
    return exc
