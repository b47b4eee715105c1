"""The catalogues of texts, made from the code: `make messages`, or `python -m tests.messages`.

It collects all texts that people read on pages and in mails, writes them to the template
`pds/translations/catalogs/messages.pot`, and brings the catalogue of each language up to date: new
texts come without a translation, and those that are no longer used go. Tests find both.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po, write_po

from pds.translations.languages import NAMES

ROOT: Final = Path(__file__).resolve().parents[1]
CATALOGS: Final = ROOT / "pds" / "translations" / "catalogs"
TEMPLATE: Final = CATALOGS / "messages.pot"
TRANSLATED: Final = tuple(tag for tag in NAMES if tag != "en")

_LINE_LENGTH: Final = 100
_TEXTS: Final = {"_": (0,), "gettext": (0,), "deferred": (0,), "PageError": (1, 2)}
"""The arguments that are texts, by the name of a function."""
_PLURAL: Final = "ngettext"
_TEMPLATE_OPTIONS: Final = {
    # As `make_environment` has them: each of them changes what a text is.
    "trim_blocks": "true",
    "lstrip_blocks": "true",
    "trimmed": "true",
    "silent": "false",
}

Text: TypeAlias = "str | tuple[str, str]"
"""A text, or its two forms for one and for many."""


@dataclass(slots=True, frozen=True)
class Found:
    """A text, and the file that has it."""

    text: Text
    file: str


def collect() -> Iterator[Found]:
    """Yield all texts of pages and mails, file by file."""
    for path in sorted((ROOT / "pds").rglob("*")):
        name = path.relative_to(ROOT).as_posix()
        if path.suffix == ".py":
            for text in _texts_of_code(path.read_text("utf-8")):
                yield Found(text, name)
        elif path.parent.name == "templates" and path.suffix in (".html", ".txt"):
            for text in _texts_of_template(path):
                yield Found(text, name)


def make_template() -> Catalog:
    """Return the catalogue of all texts, without translations."""
    catalog = Catalog(project="Holdfast", charset="utf-8", fuzzy=False)
    for found in collect():
        catalog.add(found.text, locations=[(found.file, 0)])
    return catalog


def catalog_file(tag: str) -> Path:
    """Return where the texts of a language are."""
    return CATALOGS / f"{tag}.po"


def read_catalog(tag: str) -> Catalog:
    """Return the catalogue of a language."""
    with catalog_file(tag).open("rb") as file:
        return read_po(file, locale=tag.replace("-", "_"), abort_invalid=True)


def main() -> None:
    """Write the template and all catalogues, and say what is missing in each."""
    template = make_template()
    _write(TEMPLATE, template)
    for tag in TRANSLATED:
        catalog = read_catalog(tag)
        catalog.update(template, no_fuzzy_matching=True)
        catalog.obsolete.clear()
        _write(catalog_file(tag), catalog)
        texts = [message for message in catalog if message.id]
        missing = sum(not message.string or not any(message.string) for message in texts)
        print(f"{tag}: {len(texts)} texts, {missing} without a translation")  # noqa: T201


def _texts_of_code(source: str) -> Iterator[Text]:
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        name = node.func.id if isinstance(node.func, ast.Name) else name
        if name == _PLURAL:
            singular, plural = (_constant(each) for each in node.args[:2])
            if singular and plural:
                yield singular, plural
        for position in _TEXTS.get(name, ()):
            text = _constant(node.args[position]) if position < len(node.args) else None
            if text:
                yield text


def _constant(node: ast.expr) -> str | None:
    is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return node.value if is_text else None  # type: ignore[attr-defined]


def _texts_of_template(path: Path) -> Iterator[Text]:
    for _line, text, _comments, _context in extract_from_file(
        "jinja2.ext:babel_extract", path, options=_TEMPLATE_OPTIONS
    ):
        yield text if isinstance(text, str) else (text[0], text[1])


def _write(path: Path, catalog: Catalog) -> None:
    # The head says no more than what reading it needs: dates and names would change at every run.
    head = "\n".join(
        f'"{name}: {value}\\n"'
        for name, value in catalog.mime_headers
        if name in ("Content-Type", "Language", "Plural-Forms")
    )
    with path.open("wb") as file:
        file.write(f'msgid ""\nmsgstr ""\n{head}\n\n'.encode())
        write_po(
            file,
            catalog,
            width=_LINE_LENGTH,
            omit_header=True,
            sort_by_file=True,
            include_lineno=False,
            ignore_obsolete=True,
        )


if __name__ == "__main__":
    main()
