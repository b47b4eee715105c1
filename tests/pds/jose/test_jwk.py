"""Public keys as JWKs: their thumbprints, their algorithms, and what is refused as a key."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import RSAAlgorithm
from jwt.utils import base64url_decode

from pds.jose.jwk import ALGORITHMS, InvalidJwk, Jwk
from pds.jose.jwks import MAX_KEYS, InvalidJwks, Jwks
from pds.jose.jwt import Jwt, read_unverified_jwt
from tests.pds.oauth.client_keys import CURVES, ClientKey

# https://www.rfc-editor.org/rfc/rfc7638#section-3.1
RFC_7638_KEY = {
    "kty": "RSA",
    "n": (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_"
        "BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0"
        "_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWh"
        "AI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    ),
    "e": "AQAB",
    "alg": "RS256",
    "kid": "2011-04-29",
}
# https://www.rfc-editor.org/rfc/rfc7515#appendix-A.4
RFC_7515_KEY = {
    "kty": "EC",
    "crv": "P-521",
    "x": (
        "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk"
    ),
    "y": (
        "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2"
    ),
}
RFC_7515_SIGNED = b"eyJhbGciOiJFUzUxMiJ9.UGF5bG9hZA"
RFC_7515_SIGNATURE = (
    "AdwMgeerwtHoh-l192l60hp9wAHZFVJbLfD_UxMi70cwnZOYaRI1bKPWROc-mZZqwqT2SI-KGDKB34XO0aw_7XdtAG8G"
    "aSwFKdCAPZgoXD2YBJZCPEX3xKpRwcdOO8KpEHwJjyqOgzDO7iKvU8vcnwNrmxYbSW9ERBXukOXolLzeO_Jn"
)
P256 = ClientKey.new("ES256")
RSA = ClientKey.new("RS256")


def read(token: str) -> Jwt:
    return read_unverified_jwt(token, max_length=4096)


def test_thumbprint_of_the_standard_s_example() -> None:
    assert Jwk.parse(RFC_7638_KEY).thumbprint() == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_signature_of_the_standard_s_example() -> None:
    signed = Jwt({"alg": "ES512"}, {}, RFC_7515_SIGNED, base64url_decode(RFC_7515_SIGNATURE))
    assert Jwk.parse(RFC_7515_KEY).has_signed(signed)
    signed.signature = signed.signature[:-1] + b"\0"
    assert not Jwk.parse(RFC_7515_KEY).has_signed(signed)


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_what_a_client_signs_its_key_verifies(alg: str) -> None:
    key = ClientKey.new(alg)
    token = read(key.sign({"a": 1}))
    assert Jwk.parse(key.jwk).has_signed(token)
    token.signed += b"x"
    assert not Jwk.parse(key.jwk).has_signed(token)


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_another_key_of_the_same_kind_does_not_verify(alg: str) -> None:
    other = ClientKey.new(alg) if alg.startswith("ES") else None
    stranger = RFC_7638_KEY if other is None else other.jwk
    token = read(ClientKey.new(alg).sign({}))
    assert not Jwk.parse({**stranger, "alg": alg}).has_signed(token)


@pytest.mark.parametrize("alg", ["none", "HS256", "ES384", "RS256", "", None, 7, ["ES256"]])
def test_a_token_does_not_choose_another_algorithm(alg: object) -> None:
    token = read(P256.sign({}))
    token.header["alg"] = alg
    assert not Jwk.parse(P256.jwk).has_signed(token)


def test_a_key_with_an_algorithm_verifies_no_other() -> None:
    token = read(RSA.sign({}))
    assert Jwk.parse(RSA.jwk).has_signed(token)
    assert not Jwk.parse({**RSA.jwk, "alg": "PS256"}).has_signed(token)


def test_a_signature_of_another_length_is_refused() -> None:
    token = read(P256.sign({}))
    for signature in (b"", token.signature[:-1], token.signature + b"\0", b"\0" * 64):
        assert not Jwk.parse(P256.jwk).has_signed(Jwt(token.header, {}, token.signed, signature))


@pytest.mark.parametrize(("alg", "number"), [("ES256", 379), ("ES256K", 153), ("ES384", 197)])
def test_a_coordinate_may_begin_with_a_zero_byte(alg: str, number: int) -> None:
    """One key in 128 has such a coordinate, and it keeps its full length."""
    key = ClientKey(alg, ec.derive_private_key(number, CURVES[alg]()))
    assert key.jwk["x"].startswith("A")
    assert Jwk.parse(key.jwk).has_signed(read(key.sign({})))
    with pytest.raises(InvalidJwk):
        Jwk.parse({**key.jwk, "x": key.jwk["x"][2:]})


def weak_rsa() -> dict[str, Any]:
    # Short on purpose: nothing relies on it.
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505
    return RSAAlgorithm.to_jwk(weak.public_key(), as_dict=True)


REFUSED = {
    "not an object": [],
    "no kty": {k: v for k, v in P256.jwk.items() if k != "kty"},
    "symmetric": {"kty": "oct", "k": "AAAA"},
    "private": {**P256.jwk, "d": P256.jwk["x"]},
    "private RSA": {**RSA.jwk, "p": "AQAB"},
    "another curve": {**P256.jwk, "crv": "Ed25519"},
    "curve that is no text": {**P256.jwk, "crv": ["P-256"]},
    "missing coordinate": {k: v for k, v in P256.jwk.items() if k != "y"},
    "empty coordinate": {**P256.jwk, "x": ""},
    "coordinate that is no text": {**P256.jwk, "x": 5},
    "off the curve": {**P256.jwk, "y": P256.jwk["x"]},
    "padded": {**P256.jwk, "x": P256.jwk["x"] + "="},
    "short coordinate": {**P256.jwk, "x": P256.jwk["x"][:-2]},
    "not base64url": {**P256.jwk, "x": "ü" * 43},
    "lone surrogate": {**P256.jwk, "x": "\ud800" * 43},
    "P-256 as P-384": {**P256.jwk, "crv": "P-384"},
    "algorithm of another type": {**P256.jwk, "alg": "RS256"},
    "algorithm that is no text": {**P256.jwk, "alg": {}},
    "for encryption": {**P256.jwk, "use": "enc"},
    "for signing only": {**P256.jwk, "key_ops": ["sign"]},
    "operations that are no list": {**P256.jwk, "key_ops": "verify"},
    "weak": weak_rsa(),
    "leading zero": {**RSA.jwk, "e": "AAEAAQ"},
    "even exponent": {**RSA.jwk, "e": "Ag"},
    "long exponent": {**RSA.jwk, "e": RSA.jwk["n"]},
    "huge modulus": {**RSA.jwk, "n": "_" * 100_000},
    "id that is no text": {**P256.jwk, "kid": 1},
    "long id": {**P256.jwk, "kid": "k" * 5_000},
}


@pytest.mark.parametrize("jwk", REFUSED.values(), ids=REFUSED)
def test_what_is_no_usable_public_key_is_refused(jwk: object) -> None:
    with pytest.raises(InvalidJwk):
        Jwk.parse(jwk)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=50),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(
    st.dictionaries(
        st.sampled_from(["kty", "crv", "x", "y", "n", "e", "alg", "use", "key_ops", "kid"]),
        json_values | st.sampled_from(["EC", "RSA", "P-256", "secp256k1", "AQAB", P256.jwk["x"]]),
    )
)
def test_any_object_is_a_key_or_refused(jwk: dict[str, Any]) -> None:
    try:
        parsed = Jwk.parse({**P256.jwk, **jwk})
    except InvalidJwk:
        return
    assert parsed.algorithms <= set(ALGORITHMS)


def test_members_beside_the_key_do_not_change_its_thumbprint() -> None:
    decorated = {**P256.jwk, "kid": "1", "use": "sig", "key_ops": ["verify"], "ext": True}
    assert Jwk.parse(decorated).thumbprint("sha512") == Jwk.parse(P256.jwk).thumbprint("sha512")


def test_a_key_set_leaves_out_what_it_cannot_use() -> None:
    one = ClientKey.new(kid="1")
    keys = Jwks.parse({"keys": [{"kty": "OKP"}, 5, {**one.published, "use": "enc"}, one.published]})
    assert [key.kid for key in keys.keys] == ["1"]


@pytest.mark.parametrize("document", [None, [], {}, {"keys": {}}, {"keys": [1] * (MAX_KEYS + 1)}])
def test_what_is_no_key_set_is_refused(document: object) -> None:
    with pytest.raises(InvalidJwks):
        Jwks.parse(document)


def test_a_token_finds_its_key_by_id_and_algorithm() -> None:
    first, second, other = (ClientKey.new(kid=kid) for kid in ("1", "2", "2"))
    keys = Jwks.parse({"keys": [first.published, second.published, RSA.published]})
    found = keys.find(read(second.sign({}, kid="2")))
    assert found is not None
    assert found.has_signed(read(second.sign({})))
    assert keys.find(read(other.sign({}, kid="3"))) is None
    assert keys.find(Jwt({"alg": "ES384", "kid": "2"}, {}, b"", b"")) is None
    assert keys.find(Jwt({"alg": ["ES256"], "kid": "2"}, {}, b"", b"")) is None


def test_a_token_without_an_id_is_of_the_only_key_with_its_algorithm() -> None:
    one, other = ClientKey.new(kid="1"), ClientKey.new(kid="2")
    alone = Jwks.parse({"keys": [one.published, {**RSA.published, "kid": "3"}]})
    assert alone.find(read(one.sign({}))) is not None
    assert Jwks.parse({"keys": [one.published, other.published]}).find(read(one.sign({}))) is None


def test_es256_accepts_either_value_of_s() -> None:
    """Clients sign with libraries that do not choose the lower one."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    token = read(P256.sign({}))
    s = int.from_bytes(token.signature[32:])
    token.signature = token.signature[:32] + (order - s).to_bytes(32)
    assert isinstance(P256.private.curve, ec.SECP256R1)
    assert Jwk.parse(P256.jwk).has_signed(token)
