from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from identity.plc_data import InvalidPlcOperation, PlcData, PlcService
from identity.plc_log import PlcLogEntry, validate_log
from identity.plc_operation import MAX_OPERATION_BYTES, PlcOperation
from repo import dagcbor
from repo.cid import Cid
from repo.keys import PrivateKey
from repo.syntax import Did
from tests.identity.plc_samples import (
    RECOVERY_KEY,
    SERVER_KEY,
    STRANGERS_KEY,
    plc_data,
)
from tests.reference import data as reference_data

K256_ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141

# The genesis operation that the directory's API documentation shows, of the older format.
LEGACY_CREATE = {
    "type": "create",
    "signingKey": "did:key:zQ3shP5TBe1sQfSttXty15FAEHV1DZgcxRZNxvEWnPfLFwLxJ",
    "recoveryKey": "did:key:zQ3shhCGUqDKjStzuDxPkTxN6ujddP4RkEKJJouJGRRkaLGbg",
    "handle": "first-post.bsky.social",
    "service": "https://bsky.social",
    "prev": None,
    "sig": "yvN4nQYWTZTDl9nKSSyC5EC3nsF5g4S56OmRg9G6_-pM6FCItV2U2u14riiMGyHiCD86l6O-1xC5MPwf8vVsRw",
}


def test_logs_of_the_reference_are_valid() -> None:
    accounts = json.loads(reference_data.PLC_FILE.read_text())
    assert accounts
    for did, account in accounts.items():
        entries = [
            PlcLogEntry(Did(did), PlcOperation.parse(op), False, time_ms)
            for time_ms, op in enumerate(account["log"])
        ]
        assert validate_log(Did(did), entries).to_json() == account["log"][-1]


@pytest.mark.parametrize("key", [SERVER_KEY, RECOVERY_KEY])
def test_a_signed_operation_survives_the_wire_and_names_its_signer(key: PrivateKey) -> None:
    signed = PlcOperation.sign(plc_data(), prev=None, key=key)
    read = PlcOperation.parse(json.loads(json.dumps(signed.to_json())))
    assert read == signed
    assert read.data == plc_data()
    assert read.find_signer([STRANGERS_KEY.did_key, key.did_key]) == key.did_key
    assert read.find_signer([STRANGERS_KEY.did_key]) is None


def test_a_did_is_the_beginning_of_the_hash_of_its_first_operation() -> None:
    operation = PlcOperation.sign(plc_data(), prev=None, key=SERVER_KEY)
    cid = Cid.of_dag_cbor(dagcbor.encode(operation.to_json()))
    assert operation.cid == cid
    digest = base64.b32encode(cid.raw[4:]).decode().lower()
    assert operation.did() == f"did:plc:{digest[:24]}"


def test_operations_of_the_older_format_create_dids() -> None:
    operation = PlcOperation.parse(LEGACY_CREATE)
    assert operation.did() == "did:plc:pyc2ihzpelxtg4cdkfzbhcv4"
    assert operation.to_json() == LEGACY_CREATE
    assert operation.data == PlcData(
        rotation_keys=(LEGACY_CREATE["recoveryKey"] or "", LEGACY_CREATE["signingKey"] or ""),
        verification_methods={"atproto": LEGACY_CREATE["signingKey"] or ""},
        also_known_as=("at://first-post.bsky.social",),
        services={"atproto_pds": PlcService("AtprotoPersonalDataServer", "https://bsky.social")},
    )
    assert operation.find_signer(operation.data.rotation_keys) == LEGACY_CREATE["signingKey"]


def test_hosts_and_handles_of_the_older_format_get_their_schemes() -> None:
    fields = {**LEGACY_CREATE, "service": "pds.example.com", "handle": "at://bob.test"}
    data = PlcOperation.parse(fields).data
    assert data is not None
    assert data.also_known_as == ("at://bob.test",)
    assert data.services["atproto_pds"].endpoint == "https://pds.example.com"


def test_a_tombstone_sets_nothing() -> None:
    first = PlcOperation.sign(plc_data(), prev=None, key=SERVER_KEY)
    tombstone = PlcOperation.sign_tombstone(prev=first.cid, key=SERVER_KEY)
    assert tombstone.type == "plc_tombstone"
    assert tombstone.data is None
    assert PlcOperation.parse(tombstone.to_json()) == tombstone
    assert set(tombstone.to_json()) == {"type", "prev", "sig"}


def test_fields_that_no_operation_has_are_dropped() -> None:
    signed = PlcOperation.sign(plc_data(), prev=None, key=SERVER_KEY)
    assert PlcOperation.parse({**signed.to_json(), "extra": 1}) == signed


def _with_signature(operation: PlcOperation, sig: str) -> PlcOperation:
    return PlcOperation.parse({**operation.to_json(), "sig": sig})


def test_a_signature_has_one_spelling() -> None:
    operation = PlcOperation.sign(plc_data(), prev=None, key=SERVER_KEY)
    keys = [SERVER_KEY.did_key]
    raw = base64.urlsafe_b64decode(operation.sig + "==")
    s = K256_ORDER - int.from_bytes(raw[32:])
    last = operation.sig[-1]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    respelled = {
        "padded": operation.sig + "==",
        "standard alphabet": base64.b64encode(b"\xff" * 64).decode()[:86],
        "high S": base64.urlsafe_b64encode(raw[:32] + s.to_bytes(32)).decode().rstrip("="),
        "unused bits": operation.sig[:-1] + alphabet[alphabet.index(last) + 1],
        "new line": operation.sig[:-1] + "\n" + last,
        "DER length": base64.urlsafe_b64encode(raw + b"\0\0").decode().rstrip("="),
        "empty": "",
        "not ASCII": "é" * 86,
    }
    assert operation.find_signer(keys) is not None
    for name, sig in respelled.items():
        assert _with_signature(operation, sig).find_signer(keys) is None, name


def test_a_changed_field_breaks_the_signature() -> None:
    operation = PlcOperation.sign(plc_data(), prev=None, key=SERVER_KEY)
    forged = PlcOperation.parse({**operation.to_json(), "alsoKnownAs": ["at://eve.test"]})
    assert forged.find_signer([SERVER_KEY.did_key]) is None


def test_rotation_keys_of_unknown_kinds_sign_nothing() -> None:
    operation = PlcOperation.sign(plc_data(), prev=None, key=SERVER_KEY)
    keys = ["did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK", "", SERVER_KEY.did_key]
    assert operation.find_signer(keys) == SERVER_KEY.did_key


_VALID: dict[str, Any] = PlcOperation.sign(plc_data(), prev=None, key=SERVER_KEY).to_json()


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        "text",
        {},
        {**_VALID, "type": "other"},
        {**_VALID, "sig": None},
        {**_VALID, "prev": "not a cid"},
        {**_VALID, "prev": 5},
        {key: value for key, value in _VALID.items() if key != "prev"},
        {**_VALID, "rotationKeys": "did:key:z"},
        {**_VALID, "rotationKeys": [1]},
        {**_VALID, "alsoKnownAs": {}},
        {**_VALID, "verificationMethods": []},
        {**_VALID, "verificationMethods": {"atproto": 1}},
        {**_VALID, "services": {"atproto_pds": "https://pds.example.com"}},
        {**_VALID, "services": {"atproto_pds": {"type": "T"}}},
        {**_VALID, "alsoKnownAs": ["at://\ud800"]},
        {"type": "plc_tombstone", "prev": None, "sig": "x"},
        {"type": "create", "prev": None, "sig": "x"},
        {**LEGACY_CREATE, "prev": str(Cid.of_dag_cbor(b""))},
        {key: value for key, value in LEGACY_CREATE.items() if key != "prev"},
    ],
)
def test_malformed_operations_are_refused(value: object) -> None:
    with pytest.raises(InvalidPlcOperation):
        PlcOperation.parse(value)


def test_operations_are_bounded() -> None:
    with pytest.raises(InvalidPlcOperation, match="too large"):
        PlcOperation.parse({**_VALID, "alsoKnownAs": ["x" * MAX_OPERATION_BYTES]})


def test_a_handle_replaces_the_first_alias_that_is_one() -> None:
    data = plc_data()
    aliases = ("https://alice.example", "at://alice.test", "at://old.test")
    both = PlcData(data.rotation_keys, {}, aliases, {})
    assert both.with_handle("new.test").also_known_as == (
        "https://alice.example",
        "at://new.test",
        "at://old.test",
    )
    none = PlcData(data.rotation_keys, {}, ("https://alice.example",), {})
    assert none.with_handle("new.test").also_known_as == ("at://new.test", "https://alice.example")
