"""The document of a did:web that moves: what its owner publishes, and when it is enough."""

from __future__ import annotations

import json
from typing import Any

import pytest

from identity.did_document import DidDocument
from pds.lifecycle.migration.errors import MoveProblem, Problem
from pds.lifecycle.migration.web_document import Lack, web_document
from repo.keys import K256PrivateKey
from repo.syntax import Did

DID = Did("did:web:alice.example%3A8443")
OLD, NEW = "https://old.example", "https://new.example"
KEY = K256PrivateKey.generate().did_key


def fields(**more: Any) -> dict[str, Any]:
    """What the new server asks for."""
    return {
        "alsoKnownAs": ["at://alice.new.example"],
        "verificationMethods": {"atproto": KEY},
        "services": {"atproto_pds": {"type": "AtprotoPersonalDataServer", "endpoint": NEW}},
        **more,
    }


def published(**more: Any) -> DidDocument:
    """What is at the person's host before the move."""
    method = {"type": "Multikey", "controller": DID}
    old_key = K256PrivateKey.generate().did_key.removeprefix("did:key:")
    service = {"type": "AtprotoPersonalDataServer", "serviceEndpoint": OLD}
    document = {
        "@context": ["https://www.w3.org/ns/did/v1", "https://example.com/own"],
        "id": DID,
        "alsoKnownAs": ["at://alice.old.example", "https://alice.example/about"],
        "verificationMethod": [
            {**method, "id": "#atproto", "publicKeyMultibase": old_key},
            {**method, "id": f"{DID}#own", "publicKeyMultibase": old_key},
        ],
        "service": [
            {**service, "id": f"{DID}#atproto_pds"},
            {"id": "#chat", "type": "Chat", "serviceEndpoint": "https://chat.example"},
        ],
        "authentication": ["#own"],
        **more,
    }
    return DidDocument.parse(document, DID)


def test_it_has_key_service_and_handle_and_keeps_what_is_not_of_the_account() -> None:
    made = web_document(DID, fields(), NEW, published())
    assert made.address == "https://alice.example:8443/.well-known/did.json"
    assert made.lacks == (Lack.SERVICE, Lack.KEY, Lack.HANDLE)
    document = json.loads(made.text)
    assert document["alsoKnownAs"] == ["at://alice.new.example", "https://alice.example/about"]
    key, own = document["verificationMethod"]
    assert key == {
        "id": f"{DID}#atproto",
        "type": "Multikey",
        "controller": DID,
        "publicKeyMultibase": KEY.removeprefix("did:key:"),
    }
    assert own["id"] == f"{DID}#own"
    pds, chat = document["service"]
    assert (pds["id"], pds["serviceEndpoint"]) == ("#atproto_pds", NEW)
    assert (chat["id"], document["authentication"]) == ("#chat", ["#own"])
    assert "https://example.com/own" in document["@context"]
    assert "https://w3id.org/security/multikey/v1" in document["@context"]


@pytest.mark.parametrize("before", [published(), None], ids=["there", "absent"])
def test_once_it_is_published_nothing_is_lacking_and_nothing_changes(
    before: DidDocument | None,
) -> None:
    made = web_document(DID, fields(), NEW, before)
    assert made.lacks
    after = web_document(DID, fields(), NEW, DidDocument.parse(json.loads(made.text), DID))
    assert (after.lacks, after.text) == ((), made.text)


@pytest.mark.parametrize("odd", ["a text", 5, {"id": 5}, [[], 5, None]], ids=str)
def test_odd_documents_are_taken_as_a_basis_as_well(odd: object) -> None:
    before = published(alsoKnownAs=odd, verificationMethod=odd, service=odd, **{"@context": odd})
    made = web_document(DID, fields(), NEW, before)
    after = web_document(DID, fields(), NEW, DidDocument.parse(json.loads(made.text), DID))
    assert after.lacks == ()


@pytest.mark.parametrize(
    "wrong",
    [
        {"services": {"atproto_pds": {"type": "AtprotoPersonalDataServer", "endpoint": OLD}}},
        {"services": {}},
        {"services": None},
        {"verificationMethods": {"atproto": "did:key:zNone"}},
        {"verificationMethods": {}},
        {"alsoKnownAs": [5]},
    ],
    ids=str,
)
def test_a_new_server_that_asks_for_something_else_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(MoveProblem) as caught:
        web_document(DID, fields(**wrong), NEW, published())
    assert caught.value.kind is Problem.WRONG


def test_nothing_that_the_new_server_adds_gets_into_it() -> None:
    more = {"atproto": KEY, "its_own": K256PrivateKey.generate().did_key}
    made = web_document(DID, fields(verificationMethods=more), NEW, None)
    assert [one["id"] for one in json.loads(made.text)["verificationMethod"]] == [f"{DID}#atproto"]
