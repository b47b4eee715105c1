"""The languages that the request under way asks for: those of the mails that it causes."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Final

from pds.translations.choice import accepted_tags
from pds.translations.language import Language
from pds.translations.languages import language_for

_asked: Final[ContextVar[str]] = ContextVar("asked", default="")


def ask_for_languages(accepted: str) -> None:
    """Note what the request of this task accepts, as an Accept-Language header says it.

    A connection serves all its requests in one task, so that each of them has to note it.
    """
    _asked.set(accepted)


async def asked_language() -> Language:
    """Return the language for what the request causes; English outside requests."""
    return await language_for(accepted_tags(_asked.get()))
