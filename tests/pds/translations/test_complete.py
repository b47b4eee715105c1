"""Nobody reads a page that is half in English: every text has a translation in every language."""

from __future__ import annotations

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po

from tests.messages import TEMPLATE, TRANSLATED, make_template, read_catalog
from tests.pds.translations.test_catalogs import forms


def template() -> Catalog:
    with TEMPLATE.open("rb") as file:
        return read_po(file)


def ids(catalog: Catalog) -> set[tuple[str, ...]]:
    return {forms(message.id) for message in catalog if message.id}


def test_the_template_has_the_texts_of_the_code() -> None:
    assert ids(template()) == ids(make_template()), "run `make messages`, and translate what is new"


@pytest.mark.parametrize("tag", TRANSLATED)
def test_every_text_has_a_translation(tag: str) -> None:
    catalog = read_catalog(tag)
    whole = {
        forms(message.id)
        for message in catalog
        if message.id
        and all(forms(message.string))
        and len(forms(message.string))
        == (1 if isinstance(message.id, str) else catalog.num_plurals)
    }
    missing = ids(template()) - whole
    assert not missing, f"{len(missing)} texts, such as {min(missing)}: run `make messages`"
