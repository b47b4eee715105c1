"""Which language a page is in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pds.translations.choice import accepted_tags, best_tag
from pds.translations.languages import NAMES, language_for


@pytest.mark.parametrize(
    ("header", "tags"),
    [
        ("", []),
        ("de", ["de"]),
        ("fr;q=0.3, de-AT, en;q=0.8", ["de-AT", "en", "fr"]),
        ("de;q=0, en", ["en"]),
        ("*", []),
        ("de;q=2, 1, ja;level=1, es ; q=1.000", ["es"]),
    ],
)
def test_a_header_gives_the_preferred_languages_first(header: str, tags: list[str]) -> None:
    assert accepted_tags(header) == tags


@given(st.text())
def test_any_header_is_taken(header: str) -> None:
    assert all(tag.isascii() for tag in accepted_tags(header))


@pytest.mark.parametrize(
    ("wanted", "best"),
    [
        (["de-AT"], "de"),
        (["pt"], "pt-BR"),
        (["PT-br"], "pt-BR"),
        (["xx", "ja"], "ja"),
        (["xx"], None),
        ([], None),
    ],
)
def test_a_language_stands_for_its_variants(wanted: list[str], best: str | None) -> None:
    assert best_tag(wanted, tuple(NAMES)) == best


@pytest.mark.parametrize("tag", NAMES)
async def test_every_language_can_be_loaded(tag: str) -> None:
    language = await language_for([tag])
    assert (language.tag, language.own_name, language.direction) == (tag, NAMES[tag], "ltr")


async def test_who_reads_none_of_the_languages_gets_english() -> None:
    assert (await language_for(["xx", "tlh"])).tag == "en"
