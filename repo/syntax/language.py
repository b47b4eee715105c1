"""Language tags: BCP 47, well formed and without repeated subtags.

Spec: https://atproto.com/specs/lexicon#language and RFC 5646, sections 2.1 and 2.2.9
"""

from __future__ import annotations

import re
from typing import Final

from repo.syntax.errors import InvalidSyntax

MAX_LANGUAGE_LENGTH: Final = 255

_IRREGULAR: Final = frozenset(
    (
        *("i-ami", "i-bnn", "i-default", "i-enochian", "i-hak", "i-klingon", "i-lux", "i-mingo"),
        *("i-navajo", "i-pwn", "i-tao", "i-tay", "i-tsu"),
        *("en-GB-oed", "sgn-BE-FR", "sgn-BE-NL", "sgn-CH-DE"),
    )
)
"""Tags registered before the grammar that do not follow it (RFC 5646, `irregular`)."""

_TAG: Final = re.compile(
    r"[a-z]{2,3}(?:-[A-Za-z]{3}){0,3}"  # language, and what extends it
    r"(?:-[A-Za-z]{4})?"  # script
    r"(?:-(?:[A-Za-z]{2}|[0-9]{3}))?"  # region
    r"(?P<variants>(?:-(?:[A-Za-z0-9]{5,8}|[0-9][A-Za-z0-9]{3}))*)"
    r"(?P<extensions>(?:-[0-9A-WYZa-wyz](?:-[A-Za-z0-9]{2,8})+)*)"
    r"(?:-[xX](?:-[A-Za-z0-9]{1,8})+)?"
).fullmatch
_PRIVATE: Final = re.compile(r"[xX](?:-[A-Za-z0-9]{1,8})+").fullmatch


def parse_language(text: str) -> str:
    """Check a language tag, such as `en`, `pt-BR` or `zh-Hant`. Its language is in lower case."""
    if len(text) > MAX_LANGUAGE_LENGTH:
        raise InvalidSyntax("language", text)
    tag = _TAG(text)
    if tag is None:
        if text not in _IRREGULAR and _PRIVATE(text) is None:
            raise InvalidSyntax("language", text)
    elif len(text) > 3 and _repeats_a_subtag(tag):
        raise InvalidSyntax("language", text)
    return text


def _repeats_a_subtag(tag: re.Match[str]) -> bool:
    """Whether a variant, or the single character that opens an extension, occurs twice."""
    variants = tag["variants"].lower().split("-")
    singletons = [part for part in tag["extensions"].lower().split("-") if len(part) == 1]
    return len(variants) > len(set(variants)) or len(singletons) > len(set(singletons))
