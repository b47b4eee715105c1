"""Parsing the URL of a mail server, as in PDS_EMAIL_SMTP_URL.

    smtp://user:password@mail.example.com         port 587, TLS as soon as the server offers it
    smtps://user:password@mail.example.com:465    TLS from the start
    smtp:///?sendmail=true                        the local program sendmail

User and password are percent-encoded. After the `?` come options of the reference PDS's mail
library: `ignoreTLS`, `requireTLS`, `tls.rejectUnauthorized`, `name` (sent in EHLO), `sendmail` and
`path` (of sendmail). Others are ignored.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias
from urllib.parse import parse_qsl, unquote, urlsplit

TlsUse: TypeAlias = Literal["from the start", "when offered", "required", "never"]

_PORTS: Final = {"smtp": 587, "smtps": 465}


class InvalidMailUrl(ValueError):
    """The text is not the URL of a mail server. The message does not repeat its password."""


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """A mail server that accepts mail over SMTP."""

    host: str
    port: int
    tls: TlsUse = "when offered"
    verifies_certificate: bool = True
    username: str | None = None
    password: str = field(default="", repr=False)
    ehlo_name: str | None = None

    @property
    def address(self) -> str:
        """Host and port, without the credentials."""
        return f"{self.host}:{self.port}"

    def tls_context(self) -> ssl.SSLContext:
        """Return the TLS context for connections. Loading the system's certificates takes 20 ms."""
        context = ssl.create_default_context()
        if not self.verifies_certificate:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context


@dataclass(frozen=True, slots=True)
class Sendmail:
    """A local program that accepts mail as sendmail does."""

    program: str = "sendmail"

    @property
    def address(self) -> str:
        """The name or path of the program."""
        return self.program


MailRoute: TypeAlias = SmtpServer | Sendmail


def parse_mail_url(url: str) -> MailRoute:
    """Parse the URL of a mail server. Raises `InvalidMailUrl`."""
    try:
        parts = urlsplit(url)
        default_port = _PORTS[parts.scheme]
        host, port = parts.hostname, parts.port or default_port
        options = dict(parse_qsl(parts.query, max_num_fields=50))
    except (KeyError, ValueError) as exc:
        raise InvalidMailUrl("is not an smtp:// or smtps:// URL") from exc
    if _is_on(options.get("sendmail")):
        return Sendmail(options.get("path", "sendmail"))
    if not host:
        raise InvalidMailUrl("names no host")
    return SmtpServer(
        host,
        port,
        tls="from the start" if parts.scheme == "smtps" else _tls_of(options),
        verifies_certificate=_is_on(options.get("tls.rejectUnauthorized", "true")),
        username=None if parts.username is None else unquote(parts.username),
        password=unquote(parts.password or ""),
        ehlo_name=options.get("name"),
    )


def _tls_of(options: dict[str, str]) -> TlsUse:
    if _is_on(options.get("ignoreTLS")):
        return "never"
    return "required" if _is_on(options.get("requireTLS")) else "when offered"


def _is_on(value: str | None) -> bool:
    return value in ("true", "1")
