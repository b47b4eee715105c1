from __future__ import annotations

import json
from dataclasses import replace

from identity.did_document import DidDocument
from identity.plc_document import document_of
from identity.plc_operation import PlcOperation
from repo.syntax import Did
from tests.identity.plc_samples import RECOVERY_KEY, SIGNING_KEY, plc_data
from tests.reference import data as reference_data

_DID = Did("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")


def test_documents_have_the_form_of_the_public_directory() -> None:
    key = "did:key:zQ3shZ1C8fVZUVznwgFcAh8dBjj9dMKAgih3wqZHujrHFYJXb"
    assert document_of(_DID, replace(plc_data(), verification_methods={"atproto": key})) == {
        "@context": [
            "https://www.w3.org/ns/did/v1",
            "https://w3id.org/security/multikey/v1",
            "https://w3id.org/security/suites/secp256k1-2019/v1",
        ],
        "id": _DID,
        "alsoKnownAs": ["at://alice.test"],
        "verificationMethod": [
            {
                "id": f"{_DID}#atproto",
                "type": "Multikey",
                "controller": _DID,
                "publicKeyMultibase": "zQ3shZ1C8fVZUVznwgFcAh8dBjj9dMKAgih3wqZHujrHFYJXb",
            }
        ],
        "service": [
            {
                "id": "#atproto_pds",
                "type": "AtprotoPersonalDataServer",
                "serviceEndpoint": "https://pds.example.com",
            }
        ],
    }


def test_documents_of_the_older_form_are_read_as_those_of_today() -> None:
    for text, account in json.loads(reference_data.PLC_FILE.read_text()).items():
        did = Did(text)
        data = PlcOperation.parse(account["log"][-1]).data
        assert data is not None
        older = DidDocument.parse(account["doc"], did)
        newer = DidDocument.parse(document_of(did, data), did)
        assert older.raw["verificationMethod"] != newer.raw["verificationMethod"]
        assert older.signing_key() == newer.signing_key() == data.verification_methods["atproto"]
        assert older.pds_endpoint == newer.pds_endpoint
        assert older.handle == newer.handle


def test_a_document_gives_back_the_keys_and_services_it_shows() -> None:
    data = replace(
        plc_data(),
        verification_methods={"atproto": SIGNING_KEY.did_key, "other": RECOVERY_KEY.did_key},
    )
    document = DidDocument.parse(document_of(_DID, data), _DID)
    assert document.signing_key() == SIGNING_KEY.did_key
    assert document.verification_key("other") == RECOVERY_KEY.did_key
    assert document.handle == "alice.test"
    assert document.pds_endpoint == "https://pds.example.com"
    assert document.raw["@context"] == [
        "https://www.w3.org/ns/did/v1",
        "https://w3id.org/security/multikey/v1",
        "https://w3id.org/security/suites/secp256k1-2019/v1",
        "https://w3id.org/security/suites/ecdsa-2019/v1",
    ]


def test_keys_of_other_kinds_are_shown_as_they_are() -> None:
    key = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"
    document = document_of(_DID, replace(plc_data(), verification_methods={"other": key}))
    method = document["verificationMethod"][0]
    assert method["type"] == "Multikey"
    assert method["publicKeyMultibase"] == "z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"
    assert document["@context"] == [
        "https://www.w3.org/ns/did/v1",
        "https://w3id.org/security/multikey/v1",
    ]
