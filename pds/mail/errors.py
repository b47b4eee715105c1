"""What can go wrong with mail, in words for the user who waits for it."""

from __future__ import annotations


class MailNotSent(Exception):
    """The mail server did not take a mail. The operator's log says why."""

    def __init__(self) -> None:
        super().__init__("The mail could not be sent. Try again later.")


class InvalidMail(ValueError):
    """A mail cannot be sent as it is, whatever the mail server."""
