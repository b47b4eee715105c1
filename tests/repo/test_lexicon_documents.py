"""Schema documents that are given rather than bundled: what is refused, and what never breaks."""

from __future__ import annotations

from contextlib import suppress
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from repo.lexicon import InvalidLexicon, Lexicons
from repo.lexicon.documents import check_document
from tests.repo.test_lexicon_bodies import values

NSID = "com.example.doc"


def document(main: Any) -> dict[str, Any]:
    return {"lexicon": 1, "id": NSID, "defs": {"main": main}}


def record_of(properties: Any) -> dict[str, Any]:
    record = {"type": "object", "properties": properties}
    return document({"type": "record", "key": "any", "record": record})


schemas = st.dictionaries(
    st.sampled_from(
        [
            *("type", "properties", "items", "refs", "ref", "required", "format", "enum"),
            *("maxLength", "minimum", "maxGraphemes", "const", "accept", "closed"),
        ]
    ),
    st.sampled_from(
        [
            *("string", "integer", "bytes", "blob", "object", "array", "union", "unknown", "did"),
            *(1, True, None, [], ["a"], {}, {"type": "string"}, {"a": {"type": "integer"}}),
        ]
    ),
)


@settings(deadline=None)
@given(schema=schemas, value=values)
def test_any_schema_is_refused_or_works(schema: dict[str, Any], value: Any) -> None:
    with suppress(InvalidLexicon):
        lexicons = Lexicons([record_of({"a": schema})])
        assert lexicons.is_known_record(NSID)
        lexicons.validate_record(NSID, "x", {"$type": NSID, "a": value})


@settings(deadline=None)
@given(junk=values)
def test_any_document_is_taken_or_refused_with_invalid_lexicon(junk: Any) -> None:
    for candidate in (junk, document(junk), record_of(junk)):
        with suppress(InvalidLexicon):
            assert list(Lexicons([candidate]).iter_methods()) == []


def test_every_bundled_document_is_well_formed() -> None:
    from lexrpc.base import load_lexicons

    bundled = load_lexicons(files("lexrpc").joinpath("lexicons"))
    assert len(bundled) > 500
    for each in bundled:
        check_document(each)


@pytest.mark.parametrize(
    "definition",
    [
        None,
        {"type": "object", "properties": []},
        {"type": "object", "properties": {"a": {"type": "nope"}}},
        {"type": "object", "required": [1]},
        {"type": "array"},
        {"type": "string", "format": "nope"},
        {"type": "string", "format": []},
        {"type": "string", "maxLength": "1"},
        {"type": "record", "key": "nope", "record": {"type": "object"}},
        {"type": "query", "output": {}},
        {"type": "query", "parameters": {"type": "object"}},
        {"type": "query", "parameters": {"type": "params", "properties": {"a": {"type": "ref"}}}},
        {"type": "procedure", "input": {"encoding": "a/b", "schema": {"type": "string"}}},
        {"type": "permission-set", "permissions": [{"type": "permission"}]},
        {"type": "union", "refs": []},
    ],
)
def test_a_malformed_definition_is_refused(definition: Any) -> None:
    with pytest.raises(InvalidLexicon, match=r"^Invalid lexicon document: .* at \$\.defs\.main"):
        Lexicons([document(definition)])


def test_a_reference_to_nothing_is_reported_when_it_is_followed() -> None:
    lexicons = Lexicons([record_of({"a": {"type": "ref", "ref": "com.example.nothing"}})])
    lexicons.validate_record(NSID, "x", {"$type": NSID})
    with pytest.raises(InvalidLexicon, match=r"Unknown lexicon type: com\.example\.nothing at"):
        lexicons.validate_record(NSID, "x", {"$type": NSID, "a": {}})


def test_deeply_nested_schemas_are_refused() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(5000):
        schema = {"type": "array", "items": schema}
    with pytest.raises(InvalidLexicon, match="Nested deeper than 32 levels"):
        Lexicons([record_of({"a": schema})])


def test_documents_of_our_own_stand_beside_the_official_ones() -> None:
    note = record_of({"text": {"type": "string", "maxLength": 5}})
    lexicons = Lexicons(own=[note])
    nsid = note["id"]
    assert lexicons.is_known_record(nsid)
    with pytest.raises(InvalidLexicon):
        lexicons.validate_record(nsid, "3jzfcijpj2z2a", {"$type": nsid, "text": "too long"})
    assert lexicons.is_known_record("app.bsky.feed.post")
    assert not Lexicons().is_known_record(nsid)


def test_a_bad_document_of_our_own_is_refused() -> None:
    with pytest.raises(InvalidLexicon):
        Lexicons(own=[record_of({"text": {"type": "strong"}})])
