"""A real SMTP server on loopback that keeps what it is sent, and can be made to misbehave."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session


@dataclass(slots=True)
class Received:
    """A mail that the server has taken."""

    sender: str
    recipients: list[str]
    message: EmailMessage
    was_encrypted: bool

    def body(self, form: str) -> str:
        """The text of one form, `plain` or `html`."""
        part = self.message.get_body((form,))
        assert isinstance(part, EmailMessage)
        return str(part.get_content()).replace("\r\n", "\n")


@dataclass(slots=True)
class MailServer:
    """What the server is told to do, and what has come."""

    port: int = 0
    mails: list[Received] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    greetings: list[str] = field(default_factory=list)
    """What clients said in EHLO."""
    password: str | None = None
    """The only right one; None asks for none."""
    answers: dict[str, str] = field(default_factory=dict)
    """An answer to RCPT or DATA in place of a good one."""
    stays_silent_at_the_end: bool = False
    """Whether QUIT gets no answer."""

    @property
    def address(self) -> str:
        return f"localhost:{self.port}"

    async def handle_EHLO(  # noqa: N802 (the name that aiosmtpd calls)
        self, _server: SMTP, session: Session, _: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        self.greetings.append(hostname)
        return responses

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _: list[str]
    ) -> str:
        envelope.rcpt_tos.append(address)
        return self.answers.get("RCPT", "250 OK")

    async def handle_DATA(  # noqa: N802
        self, _server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        if "DATA" in self.answers:
            return self.answers["DATA"]
        content = envelope.content
        assert isinstance(content, bytes)
        message = message_from_bytes(content, _class=EmailMessage, policy=default)
        self.mails.append(
            Received(
                envelope.mail_from or "",
                list(envelope.rcpt_tos),
                message,
                session.ssl is not None,
            )
        )
        return "250 taken"

    async def handle_QUIT(  # noqa: N802
        self, _server: SMTP, _session: Session, _envelope: Envelope
    ) -> str:
        if self.stays_silent_at_the_end:
            await asyncio.Event().wait()
        return "221 bye"

    def authenticate(self, *arguments: Any) -> AuthResult:
        """Check a login of PLAIN or LOGIN."""
        given = arguments[-1]
        assert isinstance(given, LoginPassword)
        password = given.password.decode()
        self.logins.append((given.login.decode(), password))
        return AuthResult(success=password == self.password, handled=False)


@asynccontextmanager
async def mail_server(
    *, tls: ssl.SSLContext | None = None, starts_tls: bool = True, password: str | None = None
) -> AsyncIterator[MailServer]:
    """A server on a free port; with `tls` by STARTTLS, or from the start."""
    server = MailServer(password=password)
    options: dict[str, Any] = {}
    if password is not None:
        options = {"authenticator": server.authenticate, "auth_require_tls": False}

    def accept() -> SMTP:
        context = tls if starts_tls else None
        return SMTP(server, hostname="mail.test", tls_context=context, **options)

    loop = asyncio.get_running_loop()
    listening = await loop.create_server(accept, "127.0.0.1", 0, ssl=None if starts_tls else tls)
    async with listening:
        server.port = listening.sockets[0].getsockname()[1]
        yield server


@asynccontextmanager
async def silent_server(*, greeting: bytes = b"", hangs_up: bool = False) -> AsyncIterator[int]:
    """A port where nothing but a greeting comes, and then silence or the end."""
    ended = asyncio.Event()

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        if not hangs_up:
            await ended.wait()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
        ended.set()
