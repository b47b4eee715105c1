"""What ends a request for a page with another page, which says what is wrong and what helps."""

from __future__ import annotations

from typing import Final

from pds.translations.language import deferred as _

BUSY: Final = _("The server is busy. Please try again in a minute.")


class PageError(Exception):
    """A page that cannot be shown. Its texts are English ones, translated for the visitor."""

    def __init__(self, status: int, message: str, remedy: str = "", **values: object) -> None:
        """`values` are what the two texts name."""
        super().__init__(message)
        self.status = status
        self.message = message
        self.remedy = remedy
        self.values = values

    @property
    def title(self) -> str:
        """The heading of the page."""
        return _("This does not work") if self.status < 500 else _("Something went wrong")
