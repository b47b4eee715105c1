from __future__ import annotations

from typing import Any

import pytest

from identity.did_document import DidDocument, InvalidDidDocument
from repo.keys import K256PrivateKey
from repo.syntax import Did

_DID = Did("did:web:example.com")
_KEY = K256PrivateKey.from_bytes(b"\x07" * 32).public


def _document(**fields: Any) -> DidDocument:
    return DidDocument.parse({"id": _DID, **fields}, _DID)


@pytest.mark.parametrize(
    "value", [None, [], "text", {}, {"id": 5}, {"id": "did:web:other.example.com"}]
)
def test_documents_of_other_dids_are_refused(value: object) -> None:
    with pytest.raises(InvalidDidDocument):
        DidDocument.parse(value, _DID)


def test_a_bare_document_has_nothing() -> None:
    document = _document()
    assert document.did == _DID
    assert document.handle is None
    assert document.signing_key() is None
    assert document.pds_endpoint is None


@pytest.mark.parametrize(
    ("aliases", "handle"),
    [
        (["at://alice.test"], "alice.test"),
        (["https://alice.test", "at://Alice.Test", "at://bob.test"], "alice.test"),
        (["at://not_a_handle", "at://bob.test"], None),
        (["at://alice.test/path"], None),
        ([5, None, {}, "at://alice.test"], "alice.test"),
        ("at://alice.test", None),
        (None, None),
    ],
)
def test_the_handle_is_the_first_at_alias(aliases: object, handle: str | None) -> None:
    assert _document(alsoKnownAs=aliases).handle == handle


@pytest.mark.parametrize("method_id", ["#atproto", f"{_DID}#atproto"])
def test_a_key_is_found_by_its_short_and_its_whole_id(method_id: str) -> None:
    method = {"id": method_id, "type": "Multikey", "publicKeyMultibase": _KEY.multibase}
    document = _document(verificationMethod=["junk", None, {"id": "#other"}, method])
    assert document.signing_key() == _KEY.did_key


@pytest.mark.parametrize(
    "method",
    [
        {"id": "#atproto"},
        {"id": "atproto", "type": "Multikey", "publicKeyMultibase": _KEY.multibase},
        {"id": "did:web:b.c#atproto", "type": "Multikey", "publicKeyMultibase": _KEY.multibase},
        {"id": "#atproto", "type": "Multikey", "publicKeyMultibase": "zNonsense"},
        {"id": "#atproto", "type": "Ed25519", "publicKeyMultibase": _KEY.multibase},
        {"id": "#atproto", "type": "Multikey", "publicKeyMultibase": 5},
        {"id": "#atproto", "type": [], "publicKeyMultibase": _KEY.multibase},
        {"id": ["#atproto"], "type": "Multikey", "publicKeyMultibase": _KEY.multibase},
    ],
)
def test_keys_that_cannot_be_used_count_as_absent(method: dict[str, Any]) -> None:
    assert _document(verificationMethod=[method]).signing_key() is None


@pytest.mark.parametrize(
    ("endpoint", "found"),
    [
        ("https://pds.example.com", True),
        ("http://localhost:2583", True),
        ("https://[::1]:80/path", True),
        ("ftp://pds.example.com", False),
        ("https://", False),
        ("https://host:port", False),
        ("https://[broken", False),
        ("pds.example.com", False),
        ({"uri": "https://pds.example.com"}, False),
    ],
)
def test_endpoints_are_http_urls(endpoint: object, found: bool) -> None:
    service = {
        "id": "#atproto_pds",
        "type": "AtprotoPersonalDataServer",
        "serviceEndpoint": endpoint,
    }
    document = _document(service=[service])
    assert document.pds_endpoint == (endpoint if found else None)


def test_a_service_of_another_type_is_no_pds() -> None:
    service = {"id": "#atproto_pds", "type": "Other", "serviceEndpoint": "https://example.com"}
    document = _document(service=[service])
    assert document.pds_endpoint is None
    assert document.service_endpoint("atproto_pds") == "https://example.com"
    assert document.service_endpoint("bsky_appview") is None
