"""Keys: the public vectors, one signature per message, and malformed keys refused."""

from __future__ import annotations

from typing import Any

import multiformats
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from repo.keys import (
    InvalidKey,
    K256PrivateKey,
    P256PrivateKey,
    PrivateKey,
    PublicKey,
    parse_did_key,
    parse_verification_method,
)
from tests.repo.interop import vectors
from tests.repo.values import unpadded

K256_ORDER = 0xFFFFFFFF_FFFFFFFF_FFFFFFFF_FFFFFFFE_BAAEDCE6_AF48A03B_BFD25E8C_D0364141
P256_ORDER = 0xFFFFFFFF_00000000_FFFFFFFF_FFFFFFFF_BCE6FAAD_A7179E84_F3B9CAC2_FC632551
K256 = K256PrivateKey.from_bytes(b"\x07" * 32)
P256 = P256PrivateKey.from_bytes(b"\x07" * 32)
SUITES = {
    "ES256K": "EcdsaSecp256k1VerificationKey2019",
    "ES256": "EcdsaSecp256r1VerificationKey2019",
}

both_keys = pytest.mark.parametrize("key", [K256, P256], ids=["K-256", "P-256"])
both_curves = pytest.mark.parametrize("curve", [K256PrivateKey, P256PrivateKey])


# --- public vectors ---


@pytest.mark.parametrize(
    "vector", vectors("crypto/signature-fixtures.json"), ids=lambda vector: vector["comment"]
)
def test_signature_vectors(vector: dict[str, Any]) -> None:
    key = parse_did_key(vector["publicKeyDid"])
    message, signature = unpadded(vector["messageBase64"]), unpadded(vector["signatureBase64"])
    assert key.verify(message, signature) is vector["validSignature"]
    tolerated = vector["validSignature"] or "high-s" in vector["tags"]
    assert key.verify(message, signature, allow_high_s=True) is tolerated
    assert key.jwt_alg == vector["algorithm"]
    assert key.did_key == vector["publicKeyDid"]
    method = parse_verification_method(vector["didDocSuite"], vector["publicKeyMultibase"])
    assert method == key


@pytest.mark.parametrize("vector", vectors("crypto/w3c_didkey_K256.json"))
def test_k256_did_key_vectors(vector: dict[str, str]) -> None:
    key = K256PrivateKey.from_bytes(bytes.fromhex(vector["privateKeyBytesHex"]))
    assert key.did_key == vector["publicDidKey"]
    assert parse_did_key(vector["publicDidKey"]) == key.public


@pytest.mark.parametrize("vector", vectors("crypto/w3c_didkey_P256.json"))
def test_p256_did_key_vectors(vector: dict[str, str]) -> None:
    secret = multiformats.multibase.decode("z" + vector["privateKeyBytesBase58"])
    assert P256PrivateKey.from_bytes(secret).did_key == vector["publicDidKey"]
    assert parse_did_key(vector["publicDidKey"]) == P256PrivateKey.from_bytes(secret).public


# --- signing ---


def test_k256_signs_with_the_nonce_of_rfc_6979() -> None:
    key = K256PrivateKey.from_bytes((1).to_bytes(32))
    assert key.sign(b"Satoshi Nakamoto").hex() == (
        "934b1ea10a4b3c1757e2b0c017d0b6143ce3c9a7e6a4a49860d7a6ab210ee3d8"
        "2442ce9d2b916064108014783e923ec36b49743e2ffa1c4496f01a512aafd9e5"
    )


def test_p256_signs_with_the_nonce_of_rfc_6979() -> None:
    """The example of its appendix A.2.5, whose s is the higher of the two values."""
    key = P256PrivateKey.from_bytes(
        bytes.fromhex("c9afa9d845ba75166b5c215767b1d6934e50c3db36e89b127b8a622b120f6721")
    )
    s = P256_ORDER - 0xF7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8
    assert key.sign(b"sample").hex() == (
        f"efd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716{s:064x}"
    )


@both_keys
@given(message=st.binary(max_size=200))
def test_signatures_are_deterministic_low_s_and_verify(key: PrivateKey, message: bytes) -> None:
    signature = key.sign(message)
    assert len(signature) == 64
    assert signature == key.sign(message)
    assert int.from_bytes(signature[32:]) <= order_of(key) // 2
    assert key.public.verify(message, signature)
    assert not key.public.verify(message + b"x", signature)


@both_keys
def test_signature_of_another_key_does_not_verify(key: PrivateKey) -> None:
    other = type(key).from_bytes(b"\x08" * 32)
    assert not other.public.verify(b"m", key.sign(b"m"))


@both_keys
@given(signature=st.binary(max_size=80) | st.binary(min_size=64, max_size=64))
def test_any_other_bytes_are_no_signature(key: PrivateKey, signature: bytes) -> None:
    assert not key.public.verify(b"message", signature)
    assert not key.public.verify(b"message", signature, allow_high_s=True)


@both_keys
def test_numbers_outside_the_order_are_no_signature(key: PrivateKey) -> None:
    order, one = order_of(key).to_bytes(32), (1).to_bytes(32)
    for signature in (bytes(64), one + bytes(32), bytes(32) + one, order + one, one + order):
        assert not key.public.verify(b"m", signature, allow_high_s=True)


# --- private keys ---


@both_curves
def test_a_generated_key_comes_back_from_its_export(curve: type[PrivateKey]) -> None:
    key = curve.generate()
    again = curve.from_bytes(key.export())
    assert again.did_key == key.did_key
    assert again.sign(b"m") == key.sign(b"m")
    assert key.did_key != curve.generate().did_key


@both_curves
@pytest.mark.parametrize("secret", [b"", bytes(31), bytes(32), b"\xff" * 32, b"\x01" * 33])
def test_malformed_secrets_are_refused(curve: type[PrivateKey], secret: bytes) -> None:
    with pytest.raises(InvalidKey):
        curve.from_bytes(secret)


@both_keys
def test_repr_shows_the_public_key_alone(key: PrivateKey) -> None:
    assert key.did_key in repr(key)
    assert key.export().hex() not in repr(key)


# --- public keys ---


@both_keys
def test_did_key_is_the_multikey_that_multiformats_writes(key: PrivateKey) -> None:
    codec = {"ES256K": "secp256k1-pub", "ES256": "p256-pub"}[key.jwt_alg]
    multikey = multiformats.multibase.encode(
        multiformats.multicodec.wrap(codec, key.public.point), "base58btc"
    )
    assert key.public.multibase == multikey
    assert key.did_key == f"did:key:{multikey}"


@both_keys
def test_every_form_of_a_public_key_is_the_same_key(key: PrivateKey) -> None:
    suite = SUITES[key.jwt_alg]
    forms = {
        parse_did_key(key.did_key),
        parse_verification_method("Multikey", key.public.multibase),
        parse_verification_method(suite, base58(key.public.point)),
        parse_verification_method(suite, base58(uncompressed(key.public))),
    }
    assert forms == {key.public}


def test_equal_points_on_two_curves_are_two_keys() -> None:
    assert K256.public != P256.public
    assert K256.public != K256.public.did_key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "did:key:",
        "did:key:z",
        "did:plc:abc",
        K256.public.multibase,
        "DID:KEY:" + K256.public.multibase,
        K256.did_key + "\n",
        K256.did_key[:-1],
        K256.did_key + "1",
        K256.did_key.replace("z", "m", 1),
        "did:key:z0OIl",
        "did:key:z" + "1" * 100_000,
        "did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK",  # Ed25519
        "did:key:"
        + multiformats.multibase.encode(b"\xe7\x01" + b"\x02" + b"\xff" * 32, "base58btc"),
        "did:key:"
        + multiformats.multibase.encode(b"\x80\x24" + b"\x02" + b"\xff" * 32, "base58btc"),
        "did:key:" + multiformats.multibase.encode(b"\xe7\x01" + bytes(33), "base58btc"),
    ],
    ids=lambda text: text[:24],
)
def test_malformed_did_keys_are_refused(text: str) -> None:
    with pytest.raises(InvalidKey):
        parse_did_key(text)


@both_keys
def test_points_in_unusual_forms_are_refused(key: PrivateKey) -> None:
    suite, point, long = SUITES[key.jwt_alg], key.public.point, uncompressed(key.public)
    hybrid = bytes([6 + (long[-1] & 1)]) + long[1:]
    for bad in (b"", b"\x00", point[:-1], point + b"x", b"\x05" + point[1:], hybrid, long[:-1]):
        with pytest.raises(InvalidKey):
            parse_verification_method(suite, base58(bad))


def test_a_did_key_holds_compressed_points_only() -> None:
    with pytest.raises(InvalidKey):
        parse_did_key("did:key:" + base58(b"\xe7\x01" + uncompressed(K256.public)))


@pytest.mark.parametrize("type", ["", "multikey", "Ed25519VerificationKey2020", "x" * 1000])
def test_other_types_of_verification_methods_are_refused(type: str) -> None:  # noqa: A002
    with pytest.raises(InvalidKey):
        parse_verification_method(type, K256.public.multibase)


@given(
    st.text(max_size=80)
    | st.binary(max_size=40).map(lambda tail: base58(b"\xe7\x01\x02" + tail))
    | st.binary(max_size=70).map(lambda tail: base58(b"\x80\x24" + tail))
)
def test_any_text_is_a_key_or_invalid(text: str) -> None:
    for suite in ("did:key", "Multikey", *SUITES.values()):
        try:
            if suite == "did:key":
                key = parse_did_key("did:key:" + text)
            else:
                key = parse_verification_method(suite, text)
        except InvalidKey:
            continue
        assert parse_did_key(key.did_key) == key


def order_of(key: PrivateKey) -> int:
    return K256_ORDER if key.jwt_alg == "ES256K" else P256_ORDER


def base58(data: bytes) -> str:
    return multiformats.multibase.encode(data, "base58btc")


def uncompressed(key: PublicKey) -> bytes:
    curve = ec.SECP256K1() if key.jwt_alg == "ES256K" else ec.SECP256R1()
    point = ec.EllipticCurvePublicKey.from_encoded_point(curve, key.point)
    return point.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
