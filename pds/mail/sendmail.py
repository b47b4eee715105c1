"""Sending mails with the program sendmail, or a compatible one."""

from __future__ import annotations

import asyncio
import os
from email.headerregistry import Address
from email.policy import default
from typing import TYPE_CHECKING, Final

from pds.config.mail_address import parse_address
from pds.mail.message import make_message
from pds.mail.transport import SEE_ITS_LOG, MailNotSent, not_sent

if TYPE_CHECKING:
    from pds.config.mail_url import Sendmail
    from pds.mail.message import Mail

TIMEOUT_S: Final = 15.0
_SHOWN_BYTES: Final = 500
_ENVIRONMENT: Final = ("PATH", "HOME", "LANG")
"""The environment variables passed to the program; others may contain secrets."""


class SendmailTransport:
    """Runs the program for each mail. `setting` is the variable that names it."""

    def __init__(
        self, setting: str, route: Sendmail, *, sender: Address, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._setting = setting
        self._program = route.program
        self._sender = sender
        self._timeout_s = timeout_s

    async def send(self, mail: Mail) -> None:
        """Pass a mail to the program. Raises `MailNotSent` or `InvalidMail`."""
        message = make_message(mail, sender=self._sender).as_bytes(policy=default)
        # No address begins with a dash: see `parse_address`.
        addresses = ("-f", self._sender.addr_spec, parse_address(mail.to).addr_spec)
        try:
            process = await asyncio.create_subprocess_exec(
                self._program,
                "-i",
                *addresses,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.PIPE,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
            )
        except OSError as exc:
            remedy = (
                f"Install it, or name another in {self._setting} as "
                "smtp:///?sendmail=true&path=/usr/sbin/sendmail."
            )
            raise self._not_sent(str(exc), remedy) from exc
        try:
            async with asyncio.timeout(self._timeout_s):
                _, said = await process.communicate(message)
        except TimeoutError as exc:
            raise self._not_sent(f"has not ended within {self._timeout_s:g} s") from exc
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            words = said[:_SHOWN_BYTES].decode(errors="replace").strip()
            raise self._not_sent(f"ended with status {process.returncode}: {words}")

    def _not_sent(self, reason: str, remedy: str = SEE_ITS_LOG) -> MailNotSent:
        return not_sent(self._setting, self._program, reason=reason, remedy=remedy)
