"""The languages that there are, loaded when somebody first reads one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from gettext import NullTranslations
from importlib import resources
from io import BytesIO
from typing import Final

from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import Translations

from pds.translations.choice import best_tag
from pds.translations.language import Language

ENGLISH: Final = Language("en", "English", NullTranslations())
NAMES: Final = {
    "en": "English",
    "de": "Deutsch",
    "fr": "Français",
    "es": "Español",
    "pt-BR": "Português (Brasil)",
    "ja": "日本語",
}
"""What the speakers of each language call it, by its tag."""

_loaded: Final = {"en": ENGLISH}


async def language_for(wanted: Iterable[str]) -> Language:
    """Return the first of the wanted languages, given by tags, that there is; else English."""
    tag = best_tag(wanted, tuple(NAMES)) or "en"
    language = _loaded.get(tag)
    if language is None:
        # Reading a catalogue takes too long for the event loop. Twice at once does no harm.
        language = _loaded[tag] = await asyncio.to_thread(load, tag)
    return language


def load(tag: str) -> Language:
    """Read the texts of one of the languages from its catalogue."""
    file = resources.files("pds.translations").joinpath("catalogs", f"{tag}.po")
    compiled = BytesIO()
    with file.open("rb") as source:
        write_mo(compiled, read_po(source, locale=tag.replace("-", "_")))
    compiled.seek(0)
    return Language(tag, NAMES[tag], Translations(compiled))
