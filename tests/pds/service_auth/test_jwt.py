"""Service tokens: made with a repo key, checked with the key of the issuer's DID document."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from pds.service_auth import jwt as service_jwt
from pds.service_auth.jwt import (
    NOT_BEFORE_LEEWAY_S,
    BadJwtSignature,
    JwtIssuerUnresolved,
    JwtNotYetValid,
    ServiceJwt,
    ServiceJwtError,
    UntrustedIss,
    create_service_jwt,
    verify_service_jwt,
)
from repo.keys import K256PrivateKey, P256PrivateKey, PrivateKey, PublicKey
from tests.pds.accounts.conftest import ALICE, SERVICE_DID, START_S

NOW_S = int(START_S)
LXM = "com.atproto.repo.uploadBlob"
KEY = K256PrivateKey.generate()
OTHER_KEY = K256PrivateKey.generate()


@dataclass
class Resolver:
    """Hands out `cached` until a fresh document is asked for."""

    cached: PublicKey = field(default_factory=lambda: KEY.public)
    fresh: PublicKey = field(default_factory=lambda: KEY.public)
    asked: list[tuple[str, bool]] = field(default_factory=list)

    async def __call__(self, iss: str, *, force: bool) -> PublicKey:
        self.asked.append((iss, force))
        return self.fresh if force else self.cached


def token_of(key: PrivateKey = KEY, **changes: Any) -> str:
    arguments: dict[str, Any] = {"iss": ALICE, "aud": SERVICE_DID, "now_s": NOW_S, "lxm": LXM}
    return create_service_jwt(key, **(arguments | changes))


async def verify(token: str, resolver: Resolver | None = None, **changes: Any) -> ServiceJwt:
    arguments: dict[str, Any] = {"audiences": [SERVICE_DID], "lxm": LXM, "now_s": NOW_S}
    return await verify_service_jwt(
        token, resolve_key=resolver or Resolver(), **(arguments | changes)
    )


def parts_of(token: str) -> list[Any]:
    return [
        orjson.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
        for part in token.split(".")[:2]
    ]


def signed(header: object, claims: object) -> str:
    body = b".".join(
        base64.urlsafe_b64encode(orjson.dumps(part)).rstrip(b"=") for part in (header, claims)
    )
    signature = base64.urlsafe_b64encode(KEY.sign(body)).rstrip(b"=")
    return (body + b"." + signature).decode()


def test_a_token_has_the_header_and_claims_of_the_reference() -> None:
    header, claims = parts_of(token_of())
    assert list(header.items()) == [("typ", "JWT"), ("alg", "ES256K")]
    assert list(claims) == ["iat", "iss", "aud", "exp", "lxm", "jti"]
    assert claims["exp"] == claims["iat"] + 60
    assert re.fullmatch(r"[0-9a-f]{32}", claims["jti"])


def test_a_token_without_a_method_has_no_lxm() -> None:
    _, claims = parts_of(token_of(lxm=None, expires_at=0))
    assert list(claims) == ["iat", "iss", "aud", "exp", "jti"]
    assert claims["exp"] == 0


async def test_a_token_is_accepted_for_its_method_and_service() -> None:
    verified = await verify(token_of())
    assert (verified.iss, verified.lxm, verified.aud) == (ALICE, LXM, SERVICE_DID)


async def test_p256_keys_sign_too() -> None:
    key = P256PrivateKey.generate()
    assert parts_of(token_of(key))[0]["alg"] == "ES256"
    await verify(token_of(key), Resolver(cached=key.public))


async def test_a_service_of_a_did_is_accepted_only_where_it_is_listed_as_such() -> None:
    """The key of a labeler must not open what the account's own key opens."""
    labeler, resolver = f"{ALICE}#atproto_labeler", Resolver()
    verified = await verify(token_of(iss=labeler), resolver, issuers=(ALICE, labeler))
    assert verified.iss == labeler
    assert resolver.asked == [(labeler, False)]
    for issuers in (None, (ALICE,), (f"{ALICE}#another",)):
        with pytest.raises(UntrustedIss):
            await verify(token_of(iss=labeler), issuers=issuers)


@pytest.mark.parametrize("fragment", ["#", "#atproto", "#atproto_label", "##", "#x#"])
async def test_no_fragment_at_all_speaks_for_an_account(fragment: str) -> None:
    resolver = Resolver()
    with pytest.raises(UntrustedIss):
        await verify(token_of(iss=ALICE + fragment), resolver)
    assert resolver.asked == []


async def test_a_token_is_not_accepted_before_its_time() -> None:
    soon, too_soon = NOW_S + NOT_BEFORE_LEEWAY_S, NOW_S + NOT_BEFORE_LEEWAY_S + 1
    for nbf in (0, NOW_S, soon):
        await verify(signed(HEADER, CLAIMS | {"nbf": nbf}))
    with pytest.raises(JwtNotYetValid):
        await verify(signed(HEADER, CLAIMS | {"nbf": too_soon}))


async def test_the_algorithm_that_a_token_names_is_that_of_the_key() -> None:
    for alg in ("none", "HS256", "ES256", "es256k", ""):
        with pytest.raises(BadJwtSignature):
            await verify(signed(HEADER | {"alg": alg}, CLAIMS))


HEADER = {"typ": "JWT", "alg": "ES256K"}
CLAIMS = {"iss": ALICE, "aud": SERVICE_DID, "exp": NOW_S + 60, "lxm": LXM}


@pytest.mark.parametrize(
    ("token", "error", "message"),
    [
        ("", "BadJwt", "poorly formatted jwt"),
        ("a.b", "BadJwt", "poorly formatted jwt"),
        ("a.b.c", "BadJwt", "poorly formatted jwt"),
        ("\ud800.b.c", "BadJwt", "poorly formatted jwt"),
        (token_of() + ".x", "BadJwt", "poorly formatted jwt"),
        (token_of().rpartition(".")[0] + ".!", "BadJwt", "poorly formatted jwt"),
        ("." * 50_000, "BadJwt", "poorly formatted jwt"),
        (signed([], CLAIMS), "BadJwt", "poorly formatted jwt"),
        (signed(HEADER, []), "BadJwt", "poorly formatted jwt"),
        (signed({"typ": "JWT"}, CLAIMS), "BadJwt", "poorly formatted jwt"),
        (signed(HEADER, CLAIMS | {"iss": 1}), "BadJwt", "poorly formatted jwt"),
        (signed(HEADER, CLAIMS | {"aud": [SERVICE_DID]}), "BadJwt", "poorly formatted jwt"),
        (signed(HEADER, CLAIMS | {"exp": "1"}), "BadJwt", "poorly formatted jwt"),
        (signed(HEADER, CLAIMS | {"nbf": "1"}), "BadJwt", "poorly formatted jwt"),
        (signed(HEADER, CLAIMS | {"nbf": None}), "BadJwt", "poorly formatted jwt"),
        (signed(HEADER | {"typ": "at+jwt"}, CLAIMS), "BadJwtType", 'Invalid jwt type "at+jwt"'),
        (
            signed(HEADER | {"typ": "refresh+jwt"}, CLAIMS),
            "BadJwtType",
            'Invalid jwt type "refresh+jwt"',
        ),
        (
            signed(HEADER | {"typ": "dpop+jwt"}, CLAIMS),
            "BadJwtType",
            'Invalid jwt type "dpop+jwt"',
        ),
        (token_of(expires_at=NOW_S - 1), "JwtExpired", "jwt expired"),
        (
            token_of(lxm="com.example.other"),
            "BadJwtLexiconMethod",
            f'bad jwt lexicon method ("lxm"). must match: {LXM}',
        ),
        (
            token_of(lxm=None),
            "BadJwtLexiconMethod",
            f'missing jwt lexicon method ("lxm"). must match: {LXM}',
        ),
        (token_of(iss="alice"), "BadJwtIss", "jwt iss is not a valid did"),
        (token_of(OTHER_KEY), "BadJwtSignature", "jwt signature does not match jwt issuer"),
        (
            token_of(aud="did:web:other.example"),
            "BadJwtAudience",
            "jwt audience does not match service did",
        ),
        (
            token_of(aud=f"{SERVICE_DID}#atproto_pds"),
            "BadJwtAudience",
            "jwt audience does not match service did",
        ),
    ],
)
async def test_a_token_that_is_not_right_is_refused(token: str, error: str, message: str) -> None:
    with pytest.raises(ServiceJwtError) as caught:
        await verify(token)
    assert (caught.value.error, str(caught.value)) == (error, message)


async def test_types_that_are_no_text_are_no_reason_to_fail() -> None:
    assert (await verify(signed(HEADER | {"typ": ["JWT"]}, CLAIMS))).iss == CLAIMS["iss"]


async def test_a_token_may_live_for_years() -> None:
    assert (await verify(token_of(expires_at=NOW_S + 10**9))).expires_at == NOW_S + 10**9


async def test_only_listed_issuers_are_accepted_where_there_is_a_list() -> None:
    await verify(token_of(), issuers=(ALICE,))
    with pytest.raises(ServiceJwtError) as caught:
        await verify(token_of(), issuers=("did:web:mod.example",))
    assert caught.value.error == "UntrustedIss"


async def test_a_rotated_key_is_found_in_a_fresh_document() -> None:
    resolver = Resolver(cached=OTHER_KEY.public)
    await verify(token_of(), resolver)
    assert [force for _, force in resolver.asked] == [False, True]


async def test_an_issuer_that_cannot_be_resolved_is_refused() -> None:
    async def resolve(iss: str, *, force: bool) -> PublicKey:
        raise JwtIssuerUnresolved

    with pytest.raises(JwtIssuerUnresolved, match="could not resolve iss did"):
        await verify_service_jwt(
            token_of(), audiences=[SERVICE_DID], lxm=LXM, now_s=NOW_S, resolve_key=resolve
        )


def test_every_refusal_has_a_name_of_the_protocol() -> None:
    refusals = ServiceJwtError.__subclasses__()
    assert len(refusals) == 11
    # The protocol has no name for a token whose time has not come, or is too long.
    assert len({refusal.error for refusal in refusals}) == 9
    assert service_jwt.BadJwt.error == "BadJwt"
