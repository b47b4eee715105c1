"""Records with their proof, from servers that nobody trusts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pds.oauth.permission_sets.proof import MAX_RECORD_BYTES, NotProven, read_proven_record
from repo.keys import K256PrivateKey
from repo.syntax import Did
from tests.pds.oauth.permission_sets.lexicons import PATH, permission_set, proof_of

DID = Did("did:web:lexicons.example.com")
KEY = K256PrivateKey.from_bytes(b"\x01" * 32)
OTHER_KEY = K256PrivateKey.from_bytes(b"\x02" * 32)
GOOD = proof_of(DID, KEY, permission_set())


@pytest.mark.parametrize("others", [0, 200])
def test_a_proven_record_is_returned(others: int) -> None:
    car = proof_of(DID, KEY, permission_set(), others=others)
    assert read_proven_record(car, DID, KEY.public, PATH) == permission_set()


@pytest.mark.parametrize(
    ("car", "reason"),
    [
        (proof_of(DID, OTHER_KEY, permission_set()), "key"),
        (proof_of("did:web:other.example.com", KEY, permission_set()), "another account"),
        (proof_of(DID, KEY, permission_set(), path="com.example.x/y"), "no such record"),
        (proof_of(DID, KEY, {"long": "x" * MAX_RECORD_BYTES}), "larger"),
        (b"", "empty"),
        (b"{}", "JSON"),
        (GOOD[:-1], "CAR"),
        (GOOD + b"\x01", "cannot have 1 bytes"),
    ],
)
def test_what_is_not_proven_is_refused(car: bytes, reason: str) -> None:
    with pytest.raises(NotProven, match=reason):
        read_proven_record(car, DID, KEY.public, PATH)


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_no_changed_byte_changes_the_record(at: int, change: int) -> None:
    car = bytearray(GOOD)
    car[at] ^= change
    try:
        record = read_proven_record(bytes(car), DID, KEY.public, PATH)
    except NotProven:
        return
    assert record == permission_set()
