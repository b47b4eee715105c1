"""Parsing mail addresses in settings and in mails."""

from __future__ import annotations

import re
from email.headerregistry import Address
from typing import Final

_FORM: Final = re.compile(r"(?P<name>[^<>]*)<(?P<spec>[^<>]+)>|(?P<plain>[^<>]+)")
_LOCAL: Final = re.compile(
    r"[^\s\x00-\x1f\x7f<>()\[\],;:\\\"@-][^\s\x00-\x1f\x7f<>()\[\],;:\\\"@]*"
)
_DOMAIN: Final = re.compile(r"[A-Za-z0-9.-]{1,253}")
_BREAKS: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u2028\u2029]+")


class InvalidMailAddress(ValueError):
    """The text is not one mail address."""


def parse_address(text: str) -> Address:
    """Parse `name@host` or `Name <name@host>`. Raises `InvalidMailAddress`.

    An international domain is converted to its DNS form (IDNA). Text that could be read as several
    addresses, as a header, or as an option of a program is refused.
    """
    form = _FORM.fullmatch(text.strip())
    name, spec = (form["name"] or "", form["spec"] or form["plain"]) if form else ("", "")
    local, _, host = spec.rpartition("@")
    try:
        domain = host.encode("idna").decode()
    except UnicodeError:
        domain = ""
    if not _LOCAL.fullmatch(local) or not _DOMAIN.fullmatch(domain):
        raise InvalidMailAddress(f"not a mail address: {text!r}")
    return Address(one_line(name).strip('" '), local, domain)


def one_line(text: str) -> str:
    """Replace each run of line breaks, whitespace and control characters by one space."""
    return _BREAKS.sub(" ", text).strip()
