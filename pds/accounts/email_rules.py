"""Rules for the email addresses of accounts."""

from __future__ import annotations

import re
from collections.abc import Set
from functools import cache
from typing import Final

from pds.accounts.errors import EmailNotSupported

MAX_LENGTH: Final = 254
"""The longest address that SMTP can carry, in characters (RFC 5321, errata 1690)."""
_LOCAL: Final = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}")
_DOMAIN: Final = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z][A-Za-z0-9-]*[A-Za-z0-9]"
)


def check_email(email: str) -> str:
    """Check an address's syntax and return it in lower case, the form that is stored.

    Quoted local parts and hosts without a domain are refused: they are unused in practice and can
    hide header injection. Disposable addresses are refused, too. Raises `EmailNotSupported`.
    """
    local, _, domain = email.rpartition("@")
    dots_wrong = local.startswith(".") or local.endswith(".") or ".." in local
    if len(email) > MAX_LENGTH or dots_wrong:
        raise EmailNotSupported
    if not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(domain):
        raise EmailNotSupported
    if domain.lower() in _disposable_domains():
        raise EmailNotSupported
    return email.lower()


@cache
def _disposable_domains() -> Set[str]:
    """Return the domains that provide disposable mailboxes to anyone."""
    # There are ten thousand, so they are loaded with the first address.
    from disposable_email_domains import blocklist

    return frozenset(blocklist)
