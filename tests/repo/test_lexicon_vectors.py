"""The protocol's public vectors: schema documents, and records checked against them."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from repo.cid import Cid
from repo.lexicon import InvalidLexicon, Lexicons
from tests.repo.interop import INTEROP, vectors


def ids(case: dict[str, Any]) -> str:
    return str(case["name"])


@pytest.fixture(scope="module")
def catalog() -> Lexicons:
    return Lexicons(
        [json.loads(path.read_bytes()) for path in INTEROP.glob("lexicon/catalog/*.json")]
    )


@pytest.mark.parametrize("case", vectors("lexicon/lexicon-valid.json"), ids=ids)
def test_valid_documents_are_taken(case: dict[str, Any]) -> None:
    assert Lexicons([case["lexicon"]]).method(case["lexicon"]["id"]) is None


@pytest.mark.parametrize("case", vectors("lexicon/lexicon-invalid.json"), ids=ids)
def test_invalid_documents_are_refused(case: dict[str, Any]) -> None:
    with pytest.raises(InvalidLexicon, match=r"^Invalid lexicon document: "):
        Lexicons([case["lexicon"]])


@pytest.mark.parametrize("case", vectors("lexicon/record-data-valid.json"), ids=ids)
def test_valid_records_are_taken(catalog: Lexicons, case: dict[str, Any]) -> None:
    record = data_model(case["data"])
    catalog.validate_record("example.lexicon.record", case["rkey"], record)
    # The same without what it must have is not taken, so it was looked at.
    del record["integer"]
    with pytest.raises(InvalidLexicon, match='Missing required key "integer"'):
        catalog.validate_record("example.lexicon.record", case["rkey"], record)


@pytest.mark.parametrize("case", vectors("lexicon/record-data-invalid.json"), ids=ids)
def test_invalid_records_are_refused(catalog: Lexicons, case: dict[str, Any]) -> None:
    with pytest.raises(InvalidLexicon, match=r"^Invalid example\.lexicon\.record record: .* at "):
        catalog.validate_record("example.lexicon.record", case["rkey"], data_model(case["data"]))


@pytest.mark.parametrize("name", ["bool", "bytes", "blob"])
def test_unknown_takes_objects_only(catalog: Lexicons, name: str) -> None:
    # The vectors for this also lack a required field; with it, they still fail.
    case = next(
        c
        for c in vectors("lexicon/record-data-invalid.json")
        if c["name"].endswith(f"type ({name})")
    )
    value = data_model(case["data"] | {"integer": 1})
    with pytest.raises(InvalidLexicon, match=r"Expected object .* at \$\.record\.unknown$"):
        catalog.validate_record("example.lexicon.record", "demo", value)


def data_model(value: Any) -> Any:
    """The value that JSON stands for."""
    if isinstance(value, list):
        return [data_model(item) for item in value]
    if isinstance(value, dict):
        if value.keys() == {"$link"}:
            return Cid.parse(value["$link"])
        if value.keys() == {"$bytes"}:
            return base64.b64decode(value["$bytes"] + "==")
        return {key: data_model(item) for key, item in value.items()}
    return value
