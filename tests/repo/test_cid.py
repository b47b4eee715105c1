"""CIDs: one spelling, the right hash, and nothing else accepted."""

from __future__ import annotations

import hashlib
import pickle

import multiformats
import pytest
from hypothesis import given
from hypothesis import strategies as st

from repo.cid import MAX_BYTES, RAW, Cid, InvalidCid
from tests.repo.values import cids

TEXT = "bafyreiclp443lavogvhj3d2ob2cxbfuscni2k5jk7bebjzg7khl3esabwq"


@given(st.binary(max_size=100))
def test_cid_is_the_one_multiformats_computes(data: bytes) -> None:
    digest = hashlib.sha256(data).digest()
    for cid, codec in ((Cid.of_dag_cbor(data), "dag-cbor"), (Cid.of_raw(data), "raw")):
        other = multiformats.CID("base32", 1, codec, ("sha2-256", digest))
        assert (cid.raw, str(cid)) == (bytes(other), str(other))


@given(cids)
def test_text_and_bytes_give_the_same_cid_back(cid: Cid) -> None:
    again = Cid.parse(str(cid))
    assert again == cid == Cid.from_bytes(cid.raw)
    assert hash(again) == hash(cid)
    assert cid.is_blessed


def test_a_digest_taken_while_streaming_gives_the_blob_its_cid() -> None:
    assert Cid.of_raw_digest(hashlib.sha256(b"blob").digest()) == Cid.of_raw(b"blob")
    assert Cid.of_raw(b"blob").codec == RAW


def test_cids_sort_by_bytes_and_survive_pickling() -> None:
    some = [Cid.of_raw(bytes([number])) for number in range(20)]
    assert [cid.raw for cid in sorted(some)] == sorted(cid.raw for cid in some)
    assert pickle.loads(pickle.dumps(some)) == some  # noqa: S301 - our own bytes


@pytest.mark.parametrize(
    "text",
    [
        "",
        "b",
        ".",
        "bafy",
        TEXT.upper(),
        " " + TEXT,
        TEXT + "\n",
        TEXT + "=",
        TEXT[:-1] + "r",  # leftover bits that are not zero
        TEXT + "a",
        "b" + "a" * 300,
        "bé",
        "b\ud800",
        "QmbWqxBEKC3P8tqsKc98xmWNzrzDtRLMiMPL8wBuTGsMnR",
        "zdj7WWeQ43G6JJvLWQWZpyHuAMq6uYWRjkBXFad11vE2LHhQ7",
    ],
)
def test_other_spellings_are_refused(text: str) -> None:
    with pytest.raises(InvalidCid):
        Cid.parse(text)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x01",
        b"\x00" + Cid.of_raw(b"").raw,
        Cid.of_raw(b"").raw[:-1],
        Cid.of_raw(b"").raw + b"\x00",
        b"\x12\x20" + bytes(32),
        b"\x01\xf1\x00\x12\x01a",  # a codec with a superfluous zero group
        b"\x01\x71" + b"\xff" * 20,
        b"\x01\x71\x12\x7d" + bytes(MAX_BYTES - 3),
    ],
)
def test_malformed_bytes_are_refused(raw: bytes) -> None:
    with pytest.raises(InvalidCid):
        Cid.from_bytes(raw)


@pytest.mark.parametrize(
    "raw",
    [
        b"\x01\x70\x12\x20" + bytes(32),  # dag-pb, as IPFS has it
        b"\x01\x55\x13\x40" + bytes(64),  # SHA-512
        b"\x01\x55\x00\x60" + bytes(96),  # identity, longer than usual decoders take
    ],
)
def test_links_into_other_networks_are_cids_but_not_blessed(raw: bytes) -> None:
    cid = Cid.from_bytes(raw)
    assert Cid.parse(str(cid)) == cid
    assert not cid.is_blessed


@given(st.binary(max_size=140) | st.binary(max_size=40).map(lambda tail: b"\x01" + tail))
def test_any_bytes_are_a_cid_with_text_or_invalid(raw: bytes) -> None:
    try:
        cid = Cid.from_bytes(raw)
    except InvalidCid:
        return
    assert Cid.parse(str(cid)) == cid


@given(st.text(max_size=300) | st.text("abcdefgh234567", max_size=80).map("b".__add__))
def test_any_text_is_a_cid_in_its_own_spelling_or_invalid(text: str) -> None:
    try:
        cid = Cid.parse(text)
    except InvalidCid:
        return
    assert str(cid) == text
