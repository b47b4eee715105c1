"""Who speaks for a group of NSIDs."""

from __future__ import annotations

import pytest

from pds.oauth.permission_sets.authority import authority_name, did_of_records

DID = b"did=did:plc:ewvi7nxzyoun6zhxrhs64oiz"


@pytest.mark.parametrize(
    ("nsid", "name"),
    [
        ("com.example.calendar.authFull", "_lexicon.calendar.example.com"),
        ("com.example.thing", "_lexicon.example.com"),
    ],
)
def test_the_name_is_that_of_the_group(nsid: str, name: str) -> None:
    assert authority_name(nsid) == name


@pytest.mark.parametrize(
    ("texts", "did"),
    [
        ([DID], "did:plc:ewvi7nxzyoun6zhxrhs64oiz"),
        ([b"v=spf1 -all", DID], "did:plc:ewvi7nxzyoun6zhxrhs64oiz"),
        ([], None),
        ([b"did=nonsense"], None),
        ([b"did="], None),
        ([b"\xff\xfe"], None),
        ([DID, DID], None),
        ([DID, b"did=did:web:other.example.com"], None),
    ],
)
def test_exactly_one_record_names_the_did(texts: list[bytes], did: str | None) -> None:
    assert did_of_records(texts) == did
