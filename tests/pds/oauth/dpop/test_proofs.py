"""DPoP proofs: one key, one request, once, with a nonce of the last minutes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pds.jose.jwk import ALGORITHMS, Jwk
from pds.oauth.dpop.nonces import DpopNonces
from pds.oauth.dpop.proofs import LEEWAY_S, MAX_AGE_S, MAX_PROOF_LENGTH, REPLAY_S, DpopProofs
from pds.oauth.errors import InvalidDpopProof, UseDpopNonce
from pds.oauth.replay.sqlite import SqliteReplays
from tests.pds.accounts.conftest import START_S, FakeClock
from tests.pds.oauth.client_keys import ClientKey

URL = "https://pds.example.com/oauth/token"
KEY = ClientKey.new()
JKT = Jwk.parse(KEY.jwk).thumbprint()
TOKEN = "the.access.token"
# https://www.rfc-editor.org/rfc/rfc9449#section-4.1: figure 2 and, with its jkt, section 6.1
RFC_9449_PROOF = (
    "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUk"
    "lDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUw"
    "Q2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6I"
    "mh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A"
    "0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg"
)
RFC_9449_JWK = {
    "kty": "EC",
    "x": "l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
    "y": "9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA",
    "crv": "P-256",
}


@pytest.fixture
def nonces(clock: FakeClock) -> DpopNonces:
    return DpopNonces(b"\x20" * 32, clock=clock)


@pytest.fixture
def proofs(nonces: DpopNonces, replays: SqliteReplays, clock: FakeClock) -> DpopProofs:
    return DpopProofs(nonces, replays, clock=clock)


Prove = Callable[..., str]


@pytest.fixture
def prove(nonces: DpopNonces, clock: FakeClock) -> Prove:
    """Makes a proof for a POST to URL, with whatever differs."""

    def make(key: ClientKey = KEY, method: str = "POST", url: str = URL, **differing: Any) -> str:
        usual = {"nonce": nonces.next(), "now_s": clock.now_s}
        return key.proof(method, url, **{**usual, **differing})

    return make


async def check(proofs: DpopProofs, proof: str, **differing: Any) -> str | None:
    return await proofs.check([proof], **{"method": "POST", "url": URL, **differing})


@pytest.mark.parametrize("alg", ALGORITHMS)
async def test_a_proof_gives_the_thumbprint_of_its_key(
    proofs: DpopProofs, prove: Prove, alg: str
) -> None:
    key = ClientKey.new(alg)
    assert await check(proofs, prove(key)) == Jwk.parse(key.jwk).thumbprint()


async def test_a_key_is_remembered_only_for_what_it_has_signed(
    proofs: DpopProofs, prove: Prove
) -> None:
    stranger = ClientKey.new()
    for _ in range(2):
        assert await check(proofs, prove()) == JKT
        with pytest.raises(InvalidDpopProof, match="signature verification failed"):
            await check(proofs, prove(stranger, header={"jwk": KEY.jwk}))
        with pytest.raises(InvalidDpopProof, match="signature verification failed"):
            await check(proofs, prove(header={"jwk": stranger.jwk}))
    assert await check(proofs, prove(header={"jwk": {**KEY.jwk, "x5c": ["a" * 3_000]}})) == JKT


@pytest.mark.parametrize(
    "broken",
    [
        lambda head, claims, signature: f"{head}.{claims}.{signature[:-1]}",
        lambda head, claims, signature: f"{head}.{claims}.{signature}A",
        lambda head, claims, signature: f"{head}.{claims}.{signature[:9]}!{signature[9:]}",
        lambda head, claims, signature: f"{head}.{claims}.{signature[:9]}\n{signature[9:]}",
        lambda head, claims, signature: f"{head}.{claims[:9]}.{claims[9:]}.{signature}",
        lambda head, claims, signature: f"{head}.{claims}.",
        lambda head, claims, signature: f"{head}.{claims}",
        lambda head, claims, signature: f"{head}.W10.{signature}",
        lambda head, claims, signature: f"{head}.{claims}é.{signature}",
        lambda head, claims, signature: f"{head}.{claims}.{'A' * MAX_PROOF_LENGTH}",
    ],
)
async def test_a_known_key_makes_no_other_text_a_proof(
    proofs: DpopProofs, prove: Prove, broken: Callable[[str, str, str], str]
) -> None:
    assert await check(proofs, prove()) == JKT
    with pytest.raises(InvalidDpopProof, match="Failed to verify DPoP proof"):
        await check(proofs, broken(*prove().split(".")))
    assert await check(proofs, prove()) == JKT


def test_the_key_of_the_standard_s_example_has_its_thumbprint() -> None:
    expected = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
    assert Jwk.parse(RFC_9449_JWK).thumbprint() == expected


async def test_the_standard_s_example_lacks_nothing_but_a_nonce(
    proofs: DpopProofs, clock: FakeClock
) -> None:
    clock.now_s = 1_562_262_616 + 5
    with pytest.raises(UseDpopNonce, match="Authorization server requires nonce in DPoP proof"):
        await check(proofs, RFC_9449_PROOF, url="https://server.example.com/token")


async def test_a_request_without_a_proof_has_no_key(proofs: DpopProofs) -> None:
    assert await proofs.check([], method="POST", url=URL) is None


@pytest.mark.parametrize(
    ("headers", "expected"),
    [([""], "DPoP header cannot be empty"), (["a", "b"], "must contain a single proof")],
)
async def test_there_is_one_proof_per_request(
    proofs: DpopProofs, headers: list[str], expected: str
) -> None:
    with pytest.raises(InvalidDpopProof, match=expected):
        await proofs.check(headers, method="POST", url=URL)


async def test_a_proof_is_used_once(proofs: DpopProofs, prove: Prove) -> None:
    proof = prove()
    await check(proofs, proof)
    with pytest.raises(InvalidDpopProof, match="DPoP proof replayed"):
        await check(proofs, proof)


async def test_the_same_id_with_another_key_is_another_proof(
    proofs: DpopProofs, prove: Prove
) -> None:
    """Nobody uses up the ids of others."""
    await check(proofs, prove(ClientKey.new(), jti="1"))
    assert await check(proofs, prove(jti="1")) == JKT


async def test_a_proof_cannot_be_replayed_as_long_as_its_nonce_is_accepted(
    proofs: DpopProofs, prove: Prove, clock: FakeClock
) -> None:
    # Issued as far in the future, and with as late a nonce, as a client can.
    proof = prove(iat=int(clock.now_s + LEEWAY_S))
    await check(proofs, proof)
    for _ in range(2 * REPLAY_S):
        clock.now_s += 1
        with pytest.raises((InvalidDpopProof, UseDpopNonce)):
            await check(proofs, proof)


@pytest.mark.parametrize("offset_s", [-MAX_AGE_S, -60, 0, 60, LEEWAY_S])
async def test_clocks_may_differ_by_minutes(
    proofs: DpopProofs, prove: Prove, clock: FakeClock, offset_s: int
) -> None:
    assert await check(proofs, prove(iat=int(clock.now_s) + offset_s)) == JKT


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "old": ({"iat": int(START_S) - MAX_AGE_S - 1}, "too far in the past"),
    "from the future": ({"iat": int(START_S) + LEEWAY_S + 1}, "should be in the past"),
    "without time": ({"iat": None}, 'missing required "iat"'),
    "expired": ({"exp": int(START_S) - LEEWAY_S - 1}, '"exp" claim'),
    "not valid yet": ({"nbf": int(START_S) + LEEWAY_S + 1}, '"nbf" claim'),
    "without id": ({"jti": None}, 'DPoP "jti" missing'),
    "empty id": ({"jti": ""}, 'DPoP "jti" missing'),
    "long id": ({"jti": "j" * 513}, 'DPoP "jti" too long'),
    "other method": ({"htm": "GET"}, 'DPoP "htm" mismatch'),
    "method in small letters": ({"htm": "post"}, 'DPoP "htm" mismatch'),
    "without method": ({"htm": None}, 'DPoP "htm" mismatch'),
    "without URL": ({"htu": None}, 'Invalid DPoP "htu" type'),
    "URL that is a number": ({"htu": 5}, 'Invalid DPoP "htu" type'),
    "other path": ({"htu": f"{URL}/"}, 'DPoP "htu" mismatch'),
    "path in capitals": ({"htu": URL.replace("oauth", "OAuth")}, 'DPoP "htu" mismatch'),
    "other host": ({"htu": "https://evil.example.com/oauth/token"}, 'DPoP "htu" mismatch'),
    "other port": ({"htu": "https://pds.example.com:8443/oauth/token"}, 'DPoP "htu" mismatch'),
    "other scheme": ({"htu": URL.replace("https", "http")}, 'DPoP "htu" mismatch'),
    "path only": ({"htu": "/oauth/token"}, "is not a valid URL"),
    "strange scheme": ({"htu": URL.replace("https", "ftp")}, "must be http or https"),
    "credentials": ({"htu": URL.replace("//", "//u:p@")}, "must not contain credentials"),
    "no URL": ({"htu": "https://pds.example.com:99999999/"}, "is not a valid URL"),
    "token hash": ({"ath": "x"}, 'DPoP "ath" claim not allowed'),
    "nonce that is a number": ({"claims": {"nonce": 5}}, 'Invalid DPoP "nonce" type'),
    "other type": ({"header": {"typ": "JWT"}}, 'unexpected "typ"'),
    "no key": ({"header": {"jwk": None}}, "the key is not an object"),
    "key with a lone surrogate": ({"header": {"jwk": {"a": "\ud800"}}}, "surrogates not allowed"),
    "key with a huge number": ({"header": {"jwk": {"a": 2**70}}}, "exceeds 64-bit range"),
    "private key": ({"header": {"jwk": {**KEY.jwk, "d": "AA"}}}, "the key is private"),
    "other key": ({"header": {"jwk": ClientKey.new().jwk}}, "signature verification failed"),
    "symmetric key": ({"header": {"jwk": {"kty": "oct", "k": "AA"}}}, "the key is private"),
}


@pytest.mark.parametrize(("differing", "expected"), REFUSED.values(), ids=REFUSED)
async def test_a_wrong_proof_is_refused(
    proofs: DpopProofs, prove: Prove, differing: dict[str, Any], expected: str
) -> None:
    differing = {**differing, **differing.get("claims", {})}
    differing.pop("claims", None)
    # Before its key is known, and after.
    for _ in range(2):
        with pytest.raises(InvalidDpopProof, match=expected):
            await check(proofs, prove(**differing))
        assert await check(proofs, prove()) == JKT


@pytest.mark.parametrize(
    "htu",
    [
        f"{URL}?a=b",
        f"{URL}#part",
        "HTTPS://PDS.Example.COM/oauth/token",
        "https://pds.example.com:443/oauth/token",
        "https://pds.example.com/oauth/./x/../token",
        "https://pds.example.com/oauth/%74oken",
    ],
)
async def test_equivalent_urls_are_one(proofs: DpopProofs, prove: Prove, htu: str) -> None:
    assert await check(proofs, prove(htu=htu), url=f"{URL}?request=1") == JKT


@pytest.mark.parametrize("typ", ["DPoP+JWT", "application/dpop+jwt"])
async def test_a_type_has_several_spellings(proofs: DpopProofs, prove: Prove, typ: str) -> None:
    assert await check(proofs, prove(header={"typ": typ})) == JKT


async def test_a_nonce_is_accepted_for_minutes(
    proofs: DpopProofs, prove: Prove, nonces: DpopNonces, clock: FakeClock
) -> None:
    nonce = nonces.next()
    for _ in range(3):
        assert await check(proofs, prove(nonce=nonce)) == JKT
        clock.now_s += 60
    with pytest.raises(UseDpopNonce, match='DPoP "nonce" mismatch'):
        await check(proofs, prove(nonce=nonce))


@pytest.mark.parametrize("nonce", ["x", "ü", "A" * 43])
async def test_a_nonce_that_nobody_gave_out_is_refused(
    proofs: DpopProofs, prove: Prove, nonce: str
) -> None:
    with pytest.raises(UseDpopNonce, match='DPoP "nonce" mismatch'):
        await check(proofs, prove(nonce=nonce))


async def test_a_refused_proof_may_be_sent_to_its_own_request(
    proofs: DpopProofs, prove: Prove
) -> None:
    proof = prove()
    with pytest.raises(InvalidDpopProof):
        await check(proofs, proof, method="GET")
    assert await check(proofs, proof) == JKT


async def test_a_proof_with_a_token_is_for_that_token(proofs: DpopProofs, prove: Prove) -> None:
    assert await check(proofs, prove(access_token=TOKEN), access_token=TOKEN) == JKT
    for proof in (prove(access_token="another"), prove(), prove(ath="ü")):
        with pytest.raises(InvalidDpopProof, match='DPoP "ath" mismatch'):
            await check(proofs, proof, access_token=TOKEN)


@pytest.mark.parametrize(
    "proof", ["x", "a.b.c", "..", "ü.ü.ü", "\ud800", "e30.e30.e30", "x" * (MAX_PROOF_LENGTH + 1)]
)
async def test_what_is_no_jwt_is_no_proof(proofs: DpopProofs, proof: str) -> None:
    with pytest.raises(InvalidDpopProof, match="Failed to verify DPoP proof"):
        await check(proofs, proof)


@given(
    st.dictionaries(
        st.sampled_from(["jti", "htm", "htu", "iat", "nonce", "ath", "exp", "nbf"]),
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(max_size=9)
        | st.lists(st.integers(), max_size=2),
    )
)
async def test_any_claims_are_a_proof_or_refused(claims: dict[str, Any]) -> None:
    clock = FakeClock()
    nonces = DpopNonces(b"\x20" * 32, clock=clock)
    proofs = DpopProofs(nonces, SqliteReplays.in_memory(clock=clock), clock=clock)
    usual = {"jti": "1", "htm": "POST", "htu": URL, "iat": START_S, "nonce": nonces.next()}
    try:
        proof = KEY.sign({**usual, **claims}, typ="dpop+jwt", jwk=KEY.jwk)
    except (ValueError, TypeError):  # PyJWT refuses some claims itself.
        return
    with suppress(InvalidDpopProof, UseDpopNonce):
        assert await check(proofs, proof) == JKT
