"""Repositories in CAR files, checked block by block without the server's own code.

Spec: https://atproto.com/specs/repository
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import libipld
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from multiformats import multibase

from tests.e2e.tree import Leaf, read_tree

_K256_PUBLIC = bytes([0xE7, 0x01])
_K256_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
_CODEC_BYTE = 1
_SHA256_CID_BYTES = 36


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The public half of an account's key, as its DID document has it."""

    public: ec.EllipticCurvePublicKey

    @classmethod
    def of_document(cls, document: dict[str, Any]) -> SigningKey:
        """The key of the method `#atproto`."""
        (method,) = (
            method
            for method in document["verificationMethod"]
            if method["id"].removeprefix(document["id"]) == "#atproto"
        )
        encoded = multibase.decode(method["publicKeyMultibase"])
        # The older type has the bare point.
        if method["type"] == "Multikey":
            assert encoded[:2] == _K256_PUBLIC
            encoded = encoded[2:]
        else:
            assert method["type"] == "EcdsaSecp256k1VerificationKey2019"
        return cls(ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), encoded))

    def verify(self, signature: bytes, message: bytes) -> None:
        """Raise `InvalidSignature` unless `message` was signed, in the low-S form."""
        assert len(signature) == 64
        r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:])
        assert s <= _K256_ORDER // 2
        self.public.verify(encode_dss_signature(r, s), message, ec.ECDSA(SHA256()))


@dataclass(frozen=True, slots=True)
class CheckedCommit:
    """A commit whose signature holds."""

    did: str
    rev: str
    data: bytes


@dataclass(frozen=True, slots=True)
class CheckedRepo:
    """A whole repository: its commit, and each record's CID by `collection/rkey`."""

    commit: CheckedCommit
    root: bytes
    records: dict[str, bytes]
    blocks: dict[bytes, bytes]

    def value(self, path: str) -> Any:
        """The record at `path`."""
        return libipld.decode_dag_cbor(self.blocks[self.records[path]])


def read_car(car: bytes) -> tuple[list[bytes], dict[bytes, bytes]]:
    """The roots and blocks of a CAR file, each block matching its CID and there only once."""
    length, at = _varint(car, 0)
    header = libipld.decode_dag_cbor(car[at : at + length])
    assert header.keys() == {"roots", "version"}
    assert header["version"] == 1
    blocks: dict[bytes, bytes] = {}
    at += length
    while at < len(car):
        length, at = _varint(car, at)
        cid, block = car[at : at + _SHA256_CID_BYTES], car[at + _SHA256_CID_BYTES : at + length]
        assert len(cid) + len(block) == length
        assert cid[0] == 1
        assert cid[_CODEC_BYTE] == 0x71
        assert cid[2:] == bytes([0x12, 0x20]) + hashlib.sha256(block).digest()
        assert cid not in blocks
        blocks[cid] = block
        at += length
    return header["roots"], blocks


def check_commit(block: bytes, key: SigningKey) -> CheckedCommit:
    """Check a commit's form and signature."""
    commit: dict[str, Any] = libipld.decode_dag_cbor(block)
    assert commit.keys() == {"did", "version", "data", "rev", "prev", "sig"}
    assert commit["version"] == 3
    assert commit["prev"] is None
    unsigned = {name: value for name, value in commit.items() if name != "sig"}
    key.verify(commit["sig"], libipld.encode_dag_cbor(unsigned))
    return CheckedCommit(commit["did"], commit["rev"], commit["data"])


def check_export(car: bytes, key: SigningKey) -> CheckedRepo:
    """Check a full export: nothing is missing, nothing is there that does not belong to it."""
    (root,), blocks = read_car(car)
    commit = check_commit(blocks[root], key)
    leaves = read_tree(commit.data, blocks)
    records: dict[str, bytes] = {}
    for leaf in leaves:
        assert isinstance(leaf, Leaf), "a node is missing"
        assert leaf.value in blocks, f"the record {leaf.key!r} is missing"
        records[leaf.key.decode()] = leaf.value
    used = {root, *_nodes_below(commit.data, blocks), *records.values()}
    assert used == blocks.keys()
    return CheckedRepo(commit, root, records, blocks)


def _nodes_below(cid: bytes, blocks: dict[bytes, bytes]) -> set[bytes]:
    node = libipld.decode_dag_cbor(blocks[cid])
    subtrees = [node["l"], *(entry["t"] for entry in node["e"])]
    return {cid}.union(*(_nodes_below(one, blocks) for one in subtrees if one is not None))


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at `at`, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
