"""Ways that a mail can take out of this server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import structlog

if TYPE_CHECKING:
    from pds.mail.message import Mail

SEE_ITS_LOG: Final = "Look into its own log. The user was asked to try again."
"""What an operator can do about a refusal that says all there is."""

_log = structlog.get_logger(__name__)


class MailNotSent(Exception):
    """The mail server did not take a mail. The operator's log says why."""

    def __init__(self) -> None:
        super().__init__("The mail could not be sent. Try again later.")


class MailTransport(Protocol):
    """Takes mails."""

    async def send(self, mail: Mail) -> None:
        """Hand a mail over. Raises `MailNotSent`, or `InvalidMail` for one that nobody takes."""


class LogTransport:
    """No mail server: mails go to the log, tokens and all.

    At level debug, for only whoever may read mails may read that log; in development (`shows`) at
    level info, where a developer finds them.
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
    """The error of a mail that was not taken, after telling the operator why and what to do."""
    _log.error("mail not sent", setting=setting, server=address, reason=reason, remedy=remedy)
    return MailNotSent()
