"""The catalogues of all languages: what is translated names the same values as the text."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from babel.messages.catalog import Message

from pds.translations.languages import NAMES, load
from tests.messages import CATALOGS, TRANSLATED, collect, read_catalog

NAMED = re.compile(r"%\((\w+)\)[a-z]|%%|%")
TAG = re.compile(r"<[^>]+>")


def forms(texts: str | Iterable[str] | None) -> tuple[str, ...]:
    """A text as the forms that it has, for one and for many."""
    return (texts,) if isinstance(texts, str) else tuple(texts or ())


def translated(tag: str) -> list[Message]:
    return [each for each in read_catalog(tag) if each.id and any(forms(each.string))]


def test_each_language_has_a_catalogue_and_each_catalogue_a_language() -> None:
    assert {path.stem for path in CATALOGS.glob("*.po")} == set(NAMES) - {"en"}


@pytest.mark.parametrize("tag", TRANSLATED)
def test_translations_name_the_values_of_the_text_and_have_its_markup(tag: str) -> None:
    for message in translated(tag):
        texts = forms(message.id)
        tags = TAG.findall(texts[-1])
        one, many = (Counter(NAMED.findall(text)) for text in (texts[0], texts[-1]))
        for number, text in enumerate(forms(message.string)):
            found = Counter(NAMED.findall(text))
            # The form for one may name the number, and need not.
            is_right = found == many or (number == 0 < len(texts) - 1 and found <= many | one)
            assert is_right, f"{message.id}: {text}"
            assert TAG.findall(text) == tags, f"{message.id}: {text}"


@pytest.mark.parametrize("tag", TRANSLATED)
def test_several_are_not_said_as_one(tag: str) -> None:
    texts = load(tag).texts
    for message in translated(tag):
        one, *many = forms(message.id)
        if many and len(forms(message.string)) > 1:
            said = {texts.ngettext(one, many[0], number) for number in (2, 5, 1_000_000)}
            assert texts.ngettext(one, many[0], 1) not in said, message.id


@pytest.mark.parametrize("tag", TRANSLATED)
def test_translations_are_checked_ones_with_the_blanks_of_the_text(tag: str) -> None:
    for message in read_catalog(tag):
        if message.id:
            assert not message.fuzzy, message.id
            for text in filter(None, forms(message.string)):
                assert text == text.strip(), message.id


@pytest.mark.parametrize("tag", TRANSLATED)
def test_a_catalogue_is_read_as_it_is(tag: str) -> None:
    started = time.thread_time()
    language = load(tag)
    assert time.thread_time() - started < 5
    for message in translated(tag):
        texts = forms(message.id)
        if len(texts) == 1:
            assert language.texts.gettext(texts[0]) == message.string
        else:
            assert language.texts.ngettext(texts[0], texts[1], 5) in forms(message.string)


def test_texts_are_found_in_code_and_templates() -> None:
    found = {(each.text, Path(each.file).suffix) for each in collect()}
    assert ("Something went wrong", ".py") in found
    assert ("This page must be opened in a tab of its own.", ".py") in found
    assert (
        "Allow cookies for this server, go back, load the page again, and try once more.",
        ".py",
    ) in found
    assert (("and %(num)s older one", "and %(num)s older ones"), ".py") in found
    assert ("Sent by %(service)s for the account %(account)s.", ".html") in found
    assert ("Reset your password", ".txt") in found
