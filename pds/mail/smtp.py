"""Sending mails through a mail server over SMTP."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from contextlib import suppress
from email.headerregistry import Address
from typing import TYPE_CHECKING, Final

import aiosmtplib

from pds.config.mail_url import TlsUse
from pds.mail.message import Mail, make_message
from pds.mail.remedies import (
    TLS_FIRST_PORT,
    find_tls_error,
    greets_in_the_clear,
    not_reached,
    not_trusted,
    starts_with_tls,
)
from pds.mail.transport import SEE_ITS_LOG, MailNotSent, not_sent

if TYPE_CHECKING:
    from pds.config.mail_url import SmtpServer

TIMEOUT_S: Final = 15.0
"""Limit for one mail, from waiting for a free connection until the server has accepted it."""
MAX_CONNECTIONS: Final = 10
"""Concurrent connections to one server; further mails wait."""

_QUIT_S: Final = 1.0
_START_TLS: Final[Mapping[TlsUse, bool | None]] = {
    "from the start": False,
    "when offered": None,
    "required": True,
    "never": False,
}


class SmtpTransport:
    """Sends mails through one server, each over a new connection.

    `setting` is the variable that names the server.
    """

    def __init__(
        self,
        setting: str,
        server: SmtpServer,
        *,
        sender: Address,
        ehlo_name: str,
        tls_context: ssl.SSLContext | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._setting = setting
        self._server = server
        self._sender = sender
        self._ehlo_name = server.ehlo_name or ehlo_name
        self._tls_context = tls_context or server.tls_context()
        self._timeout_s = timeout_s
        self._free = asyncio.Semaphore(MAX_CONNECTIONS)

    async def send(self, mail: Mail) -> None:
        """Send a mail. Raises `MailNotSent` or `InvalidMail`."""
        message = make_message(mail, sender=self._sender)
        client = self._client()
        try:
            async with asyncio.timeout(self._timeout_s), self._free:
                await client.connect()
                await self._log_in(client)
                await client.send_message(message)
            # The mail is accepted, so errors when closing do not matter.
            with suppress(aiosmtplib.SMTPException, OSError):
                await client.quit(timeout=_QUIT_S)
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as exc:
            raise self._not_sent(exc) from exc
        finally:
            client.close()

    def _client(self) -> aiosmtplib.SMTP:
        server = self._server
        return aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            use_tls=server.tls == "from the start",
            start_tls=_START_TLS[server.tls],
            tls_context=self._tls_context,
            local_hostname=self._ehlo_name,
            timeout=self._timeout_s,
        )

    async def _log_in(self, client: aiosmtplib.SMTP) -> None:
        if self._server.username is None:
            return
        if client.is_ehlo_or_helo_needed:
            await client.ehlo()
        # No password is sent to a server that does not ask for one, as in the reference PDS.
        if client.supports_extension("auth"):
            await client.login(self._server.username, self._server.password)

    def _not_sent(self, exc: Exception) -> MailNotSent:
        return not_sent(
            self._setting,
            self._server.address,
            reason=self._reason(exc),
            remedy=_remedy(exc, self._setting, self._server),
        )

    def _reason(self, exc: Exception) -> str:
        refusal = exc.recipients[0] if isinstance(exc, aiosmtplib.SMTPRecipientsRefused) else exc
        if isinstance(refusal, aiosmtplib.SMTPResponseException):
            return f"{refusal.code} {refusal.message}"
        return str(refusal) or f"no answer within {self._timeout_s:g} s"


def _remedy(exc: Exception, setting: str, server: SmtpServer) -> str:
    """Return what an operator can do about a failure."""
    tls_first = server.tls == "from the start"
    tls_error = find_tls_error(exc)
    if isinstance(tls_error, ssl.SSLCertVerificationError):
        return not_trusted(setting)
    if tls_error is not None and tls_first:
        return greets_in_the_clear(setting)
    match exc:
        case aiosmtplib.SMTPAuthenticationError():
            return (
                f"Correct user and password in {setting}. Special characters in them are written "
                "percent-encoded, an @ as %40."
            )
        case aiosmtplib.SMTPSenderRefused():
            return "Allow this sender on the mail server, or set another From address."
        case aiosmtplib.SMTPRecipientsRefused():
            return f"If every address is refused, add a user and password to {setting}."
        case (
            aiosmtplib.SMTPConnectError()
            | aiosmtplib.SMTPServerDisconnected()
            | aiosmtplib.SMTPTimeoutError()
            | TimeoutError()
        ):
            if server.port == TLS_FIRST_PORT and not tls_first:
                return starts_with_tls(setting)
            return f"{not_reached(setting)} `pds doctor` tries the connection."
    return SEE_ITS_LOG
