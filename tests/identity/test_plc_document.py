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


def test_documents_are_those_of_the_reference_directory() -> None:
    for did, account in json.loads(reference_data.PLC_FILE.read_text()).items():
        data = PlcOperation.parse(account["log"][-1]).data
        assert data is not None
        assert document_of(Did(did), data) == account["doc"]


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
        "https://w3id.org/security/suites/secp256k1-2019/v1",
        "https://w3id.org/security/suites/ecdsa-2019/v1",
    ]


def test_keys_of_other_kinds_are_shown_as_they_are() -> None:
    key = "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"
    document = document_of(_DID, replace(plc_data(), verification_methods={"other": key}))
    method = document["verificationMethod"][0]
    assert method["type"] == "Multikey"
    assert method["publicKeyMultibase"] == "z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"
    assert "https://w3id.org/security/multikey/v1" in document["@context"]
