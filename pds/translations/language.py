"""`Language`: one in which pages and mails are written, with its texts.

The English text is the key of each translation. Texts are whole sentences, and what varies has a
name in them: `language.gettext("%(count)s accounts", count=3)`.
"""

from __future__ import annotations

from dataclasses import dataclass
from gettext import NullTranslations


@dataclass(slots=True, frozen=True)
class Language:
    """A language with its texts. Text without a translation is in English."""

    tag: str
    """As in BCP 47, for `lang` attributes."""
    own_name: str
    """What its speakers call it."""
    texts: NullTranslations
    is_right_to_left: bool = False

    @property
    def direction(self) -> str:
        """The value of a `dir` attribute."""
        return "rtl" if self.is_right_to_left else "ltr"

    def gettext(self, text: str, **values: object) -> str:
        """Return a text in this language, with the values that it names."""
        return self.texts.gettext(text) % values

    def ngettext(self, singular: str, plural: str, count: int, **values: object) -> str:
        """Return the form of a text that goes with a number; the text may name it `num`."""
        return self.texts.ngettext(singular, plural, count) % {"num": count, **values}


def deferred(text: str) -> str:
    """Mark the text of a constant for translation; `Language.gettext` translates it later."""
    return text
