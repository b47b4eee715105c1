"""Choosing a language: the first that a person reads and that there is.

Spec: https://www.rfc-editor.org/rfc/rfc9110#field.accept-language
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

_LONGEST_HEADER: Final = 1_000
_RANGE: Final = re.compile(
    r"\s*(?P<tag>[a-zA-Z]{1,8}(?:-[a-zA-Z0-9]{1,8}){0,5})\s*(?:;\s*q\s*=\s*(?P<q>[01](?:\.\d{0,3})?))?\s*"
)


def accepted_tags(header: str) -> list[str]:
    """Return the language tags of an Accept-Language header, the preferred ones first.

    What is malformed is left out, and so is what is not wanted at all.
    """
    found = (_RANGE.fullmatch(part) for part in header[:_LONGEST_HEADER].split(","))
    weighted = [(float(each["q"] or 1), each["tag"]) for each in found if each is not None]
    return [tag for q, tag in sorted(weighted, key=lambda each: -each[0]) if q > 0]


def best_tag(wanted: Iterable[str], available: Sequence[str]) -> str | None:
    """Return the available tag that fits the wanted ones best; None if none does.

    A wanted `de-AT` fits `de`, and a wanted `pt` fits `pt-BR`.
    """
    by_tag = {tag.lower(): tag for tag in available}
    by_language = {tag.lower().partition("-")[0]: tag for tag in reversed(available)}
    for tag in wanted:
        lowered = tag.lower()
        found = by_tag.get(lowered) or by_language.get(lowered.partition("-")[0])
        if found is not None:
            return found
    return None
