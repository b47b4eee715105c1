"""JWTs: every key verifies what it has signed, and nothing that only looks like it."""

from __future__ import annotations

import base64
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pds.jose.jwt import (
    InvalidJwt,
    Secret,
    SigningKey,
    VerifyingKey,
    read_unverified_jwt,
    read_unverified_jwt_again,
    sign_jwt,
    verify_jwt,
)
from repo.keys import K256PrivateKey, P256PrivateKey, P256PublicKey, PublicKey

SECRET = Secret(b"\x20" * 32)
K256 = K256PrivateKey.from_bytes(b"\x21" * 32)
P256 = P256PrivateKey.from_bytes(b"\x21" * 32)
KEYS: list[tuple[SigningKey, VerifyingKey]] = [
    (SECRET, SECRET),
    (K256, K256.public),
    (P256, P256.public),
]
CLAIMS = {"iss": "did:web:a.example", "exp": 1_800_000_000, "text": "ü"}
MAX = 1024
ALGORITHMS = ["HS256", "ES256K", "ES256"]

by_key = pytest.mark.parametrize(("key", "public"), KEYS, ids=ALGORITHMS)


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def by_hand(
    key: SigningKey, *, header: Any = None, payload: bytes = b"{}", alg: str | None = None
) -> str:
    """A token with this header, or the usual one."""
    header = {"typ": "JWT", "alg": alg or key.jwt_alg} if header is None else header
    signed = f"{encode(orjson.dumps(header))}.{encode(payload)}"
    return f"{signed}.{encode(key.sign(signed.encode()))}"


def verify(token: str, public: VerifyingKey) -> dict[str, Any]:
    return verify_jwt(token, public, max_length=MAX).claims


@by_key
def test_what_a_key_has_signed_it_verifies(key: SigningKey, public: VerifyingKey) -> None:
    token = sign_jwt(key, CLAIMS, typ="at+jwt")
    jwt = verify_jwt(token, public, max_length=MAX)
    assert jwt == read_unverified_jwt(token, max_length=MAX)
    assert list(jwt.header.items()) == [("typ", "at+jwt"), ("alg", key.jwt_alg)]
    assert list(jwt.claims.items()) == list(CLAIMS.items())


@by_key
def test_the_table_below_starts_from_a_token_that_is_accepted(
    key: SigningKey, public: VerifyingKey
) -> None:
    assert verify(by_hand(key), public) == {}


# RFC 7515, appendices A.1 and A.3
PAYLOAD = (
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
)
RFC_SECRET = Secret(
    decode("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
)
RFC_P256 = P256PublicKey.from_bytes(
    b"\x04"
    + decode("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU")
    + decode("x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0")
)


@pytest.mark.parametrize(
    ("token", "key"),
    [
        (
            (
                f"eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.{PAYLOAD}"
                ".dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
            ),
            RFC_SECRET,
        ),
        (
            (
                f"eyJhbGciOiJFUzI1NiJ9.{PAYLOAD}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx"
                "-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
            ),
            RFC_P256,
        ),
    ],
    ids=["HS256", "ES256"],
)
def test_the_examples_of_the_rfc_are_verified(token: str, key: VerifyingKey) -> None:
    assert verify(token, key)["iss"] == "joe"


@pytest.mark.parametrize("key", [K256, P256], ids=["ES256K", "ES256"])
def test_both_spellings_of_a_signature_are_accepted(key: K256PrivateKey | P256PrivateKey) -> None:
    signed, _, signature = sign_jwt(key, CLAIMS, typ="JWT").rpartition(".")
    raw = decode(signature)
    s = key.public._order - int.from_bytes(raw[32:])
    assert verify(f"{signed}.{encode(raw[:32] + s.to_bytes(32))}", key.public) == CLAIMS


@pytest.mark.parametrize("named", [*ALGORITHMS, "none", "", "es256", "HS512", "RS256"])
@by_key
def test_a_key_has_one_algorithm_whatever_a_token_names(
    key: SigningKey, public: VerifyingKey, named: str
) -> None:
    token = by_hand(key, header={"typ": "JWT", "alg": named})
    if named == key.jwt_alg:
        assert verify(token, public) == {}
        return
    with pytest.raises(InvalidJwt):
        verify(token, public)


@pytest.mark.parametrize("public", [K256.public, P256.public], ids=["ES256K", "ES256"])
@pytest.mark.parametrize("named", ALGORITHMS)
def test_a_public_key_is_never_a_secret(public: PublicKey, named: str) -> None:
    """Anybody who knows it could sign."""
    for known in (public.point, public.did_key.encode(), public.multibase.encode()):
        with pytest.raises(InvalidJwt):
            verify(by_hand(Secret(known), alg=named), public)


@by_key
def test_another_key_verifies_nothing(key: SigningKey, public: VerifyingKey) -> None:
    strangers: list[SigningKey] = [
        Secret(b"\x22" * 32),
        K256PrivateKey.from_bytes(b"\x22" * 32),
        P256PrivateKey.from_bytes(b"\x22" * 32),
    ]
    for stranger in strangers:
        for alg in ALGORITHMS:
            with pytest.raises(InvalidJwt):
                verify(by_hand(stranger, alg=alg), public)


def broken(key: SigningKey) -> dict[str, str]:
    """Tokens with what is wrong with them; all that can be signed are."""
    good = by_hand(key, payload=orjson.dumps(CLAIMS))
    header, payload, signature = good.split(".")
    usual = {"typ": "JWT", "alg": key.jwt_alg}
    return {
        "nothing": "",
        "dots": "..",
        "two parts": f"{header}.{payload}",
        "four parts": f"{good}.{signature}",
        "no signature": f"{header}.{payload}.",
        "half a signature": f"{header}.{payload}.{signature[:20]}",
        "other claims": f"{header}.{encode(b'{}')}.{signature}",
        "a space": f" {good}",
        "a newline": f"{good}\n",
        "not base64url": f"{header}.{payload}.{'+' * len(signature)}",
        "padding too much": f"{good}====",
        "a letter beyond ASCII": good.replace(".", ".é"),
        "a character without bytes": "\ud800.b.c",
        "a header that is no object": by_hand(key, header=[usual]),
        "no algorithm": by_hand(key, header={"typ": "JWT"}),
        "an algorithm that is no text": by_hand(key, header=usual | {"alg": [key.jwt_alg]}),
        "a critical extension": by_hand(key, header=usual | {"crit": ["exp"], "exp": 1}),
        "a payload elsewhere": by_hand(key, header=usual | {"crit": ["b64"], "b64": False}),
        "a key id that is no text": by_hand(key, header=usual | {"kid": 1}),
        "claims that are a list": by_hand(key, payload=b"[]"),
        "claims that are no JSON": by_hand(key, payload=b"{"),
        "claims in another encoding": by_hand(key, payload="{}".encode("utf-16")),
        "claims nested without end": by_hand(key, payload=b'{"a":' + b"[" * 700),
        "a header nested without end": f"{encode(b'[' * 700)}.{payload}.{signature}",
    }


@pytest.mark.parametrize("fault", broken(SECRET))
@by_key
def test_a_broken_token_is_refused(key: SigningKey, public: VerifyingKey, fault: str) -> None:
    with pytest.raises(InvalidJwt):
        verify(broken(key)[fault], public)


@by_key
def test_the_last_letter_of_a_signature_has_one_spelling(
    key: SigningKey, public: VerifyingKey
) -> None:
    """Bits that stand for nothing would give a token a second text."""
    token = sign_jwt(key, CLAIMS, typ="JWT")
    signed, _, signature = token.rpartition(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = signature[:-1] + alphabet[alphabet.index(signature[-1]) ^ 1]
    assert decode(other) == decode(signature)
    with pytest.raises(InvalidJwt):
        verify(f"{signed}.{other}", public)


@by_key
def test_a_token_that_is_too_long_is_not_looked_at(key: SigningKey, public: VerifyingKey) -> None:
    token = sign_jwt(key, CLAIMS, typ="JWT")
    assert verify_jwt(token, public, max_length=len(token)).claims == CLAIMS
    with pytest.raises(InvalidJwt, match="too long"):
        verify_jwt(token, public, max_length=len(token) - 1)
    with pytest.raises(InvalidJwt, match="too long"):
        read_unverified_jwt(token, max_length=len(token) - 1)


@pytest.mark.parametrize("fault", broken(SECRET))
def test_what_cannot_be_read_is_refused_before_there_is_a_key(fault: str) -> None:
    """A wrong signature, which only a key can tell, and a wrong algorithm are left to `verify`."""
    unsigned = {"no signature", "half a signature", "other claims", "no algorithm"}
    if fault in unsigned | {"an algorithm that is no text"}:
        read_unverified_jwt(broken(SECRET)[fault], max_length=MAX)
        return
    with pytest.raises(InvalidJwt):
        read_unverified_jwt(broken(SECRET)[fault], max_length=MAX)


@by_key
def test_a_token_with_a_known_header_is_read_as_any_other(
    key: SigningKey, public: VerifyingKey
) -> None:
    header = read_unverified_jwt(sign_jwt(key, {}, typ="at+jwt"), max_length=MAX).header
    token = sign_jwt(key, CLAIMS, typ="at+jwt")
    found = read_unverified_jwt_again(token, header, max_length=MAX)
    assert found is not None
    assert found == read_unverified_jwt(token, max_length=MAX)
    assert found.is_signed_by(public)


_SOME = sign_jwt(SECRET, {"a": 1}, typ="at+jwt")
_HEADER_TEXT, _CLAIMS_TEXT, _SIGNATURE_TEXT = _SOME.split(".")
_ALPHABET = st.sampled_from("AQgw09az-_=.+/ \n\té\ud800")


@given(
    st.sampled_from((_CLAIMS_TEXT, _CLAIMS_TEXT + "=", "", "W10", "bnVsbA", "eyJhIjoxfQ==")),
    st.sampled_from((_SIGNATURE_TEXT, _SIGNATURE_TEXT + "=", "", "AB", "AA==")),
    st.text(_ALPHABET, max_size=4),
    st.integers(0, 100),
)
def test_a_known_header_makes_no_other_text_a_token(
    claims: str, signature: str, inserted: str, at: int
) -> None:
    rest = f".{claims}.{signature}"
    token = _HEADER_TEXT + rest[:at] + inserted + rest[at:]
    header = read_unverified_jwt(_SOME, max_length=MAX).header
    # What begins with another header is never asked about.
    if token.partition(".")[0] != _HEADER_TEXT:
        return
    found = read_unverified_jwt_again(token, header, max_length=MAX)
    try:
        expected = read_unverified_jwt(token, max_length=MAX)
    except InvalidJwt:
        assert found is None
    else:
        assert found in (None, expected)


@pytest.mark.parametrize("max_length", [len(_SOME) - 1, 0])
def test_a_known_header_makes_no_token_short(max_length: int) -> None:
    header = read_unverified_jwt(_SOME, max_length=MAX).header
    assert read_unverified_jwt_again(_SOME, header, max_length=max_length) is None
