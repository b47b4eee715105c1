"""Mail transports: the interface, and the transport that only logs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import structlog

if TYPE_CHECKING:
    from pds.mail.message import Mail

SEE_ITS_LOG: Final = "See its own log. The user was asked to try again."
"""The remedy for a refusal that gives no more information."""

_log = structlog.get_logger(__name__)


class MailNotSent(Exception):
    """The mail server did not accept a mail. The log tells the operator why."""

    def __init__(self, reason: str = "") -> None:
        super().__init__("The mail could not be sent. Try again later.")
        self.reason = reason
        """Why, for the operator."""


class MailTransport(Protocol):
    """Sends mails."""

    async def send(self, mail: Mail) -> None:
        """Send a mail. Raises `MailNotSent`, or `InvalidMail` if no server would accept it."""


class LogTransport:
    """Logs mails, including their tokens, if no mail server is set.

    The level is debug, because a log with tokens is only for people who may read the mails; in
    development (`shows`), it is info, where a developer finds them.
    """

    def __init__(self, setting: str, *, shows: bool) -> None:
        self._setting = setting
        self._shows = shows

    async def send(self, mail: Mail) -> None:
        """Log a mail."""
        tell = _log.info if self._shows else _log.debug
        tell("mail", to=mail.to, subject=mail.subject, text=mail.text)
        if not self._shows:
            _log.warning(
                "no mail is sent",
                subject=mail.subject,
                remedy=f"Set {self._setting}. With LOG_LEVEL=debug mails are in the log.",
            )


def not_sent(setting: str, address: str, *, reason: str, remedy: str) -> MailNotSent:
    """Log why a mail was not accepted and what to do, and return the error to raise."""
    _log.error("mail not sent", setting=setting, server=address, reason=reason, remedy=remedy)
    return MailNotSent(f"{address}: {reason}")
