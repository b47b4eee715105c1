"""Service tokens for the hold: which are accepted, and why others are refused."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

import pytest
from structlog.testing import capture_logs

from repo.keys import K256PrivateKey, P256PrivateKey
from tests.loop_blocks import loop_blocks
from tests.pds.conftest import Pds
from tests.pds.hold.callers import (
    CAPTAIN_ENVIRON,
    Caller,
    bearer,
    encode,
    enroll,
    unknown,
)
from tests.pds.hold.conftest import HOLD_DID

REQUEST_CREW: Final = "io.atcr.hold.requestCrew"
OTHER_KEY: Final = K256PrivateKey.from_bytes(b"\x09" * 32)
OTHER_P256: Final = P256PrivateKey.from_bytes(b"\x09" * 32)
HOUR_S: Final = 3600


@pytest.fixture
def pds_environ() -> dict[str, str]:
    return {
        **CAPTAIN_ENVIRON,
        "PDS_HOLD_ALLOW_ALL_CREW": "true",
        "PDS_HOLD_TOKEN_METHODS": "com.example.registry.push",
    }


def now_s() -> int:
    return int(time.time())


ACCEPTED: Final[dict[str, Callable[[], dict[str, Any]]]] = {
    "as from an AppView": dict,
    "no type": lambda: {"header_": {"typ": None}},
    "a type in other letters": lambda: {"header_": {"typ": "jwt"}},
    "the hold's service": lambda: {"aud": f"{HOLD_DID}#atcr_hold"},
    "the PDS's service": lambda: {"aud": f"{HOLD_DID}#atproto_pds"},
    "no method": lambda: {"lxm": None},
    "the called method": lambda: {"lxm": REQUEST_CREW},
    "another method of holds": lambda: {"lxm": "io.atcr.hold.newestMethod"},
    "getBlob": lambda: {"lxm": "com.atproto.sync.getBlob"},
    "a method of the settings": lambda: {"lxm": "com.example.registry.push"},
    "nearly an hour": lambda: {"exp": now_s() + HOUR_S - 5},
    "a fraction of a second": lambda: {"exp": time.time() + 30.5},
    "an issuer whose clock is ahead": lambda: {"nbf": now_s() + 30},
}


@pytest.mark.parametrize("curve", [K256PrivateKey, P256PrivateKey])
async def test_a_token_in_order_is_accepted(
    pds: Pds, curve: type[K256PrivateKey | P256PrivateKey]
) -> None:
    for name, changes in ACCEPTED.items():
        caller = enroll(pds, curve.generate())
        reply = await pds.post(REQUEST_CREW, headers=caller.bearer(**changes()))
        assert (reply.status, reply.json.get("status")) == (201, "created"), name


@pytest.mark.parametrize("fragment", ["#atproto", "#atproto_labeler", "#"])
async def test_a_service_of_the_issuer_is_the_issuer(pds: Pds, fragment: str) -> None:
    caller = enroll(pds)
    first = await pds.post(REQUEST_CREW, headers=caller.bearer())
    again = await pds.post(REQUEST_CREW, headers=caller.bearer(iss=caller.did + fragment))
    assert (first.status, again.status) == (201, 200)
    assert first.json["uri"] == again.json["uri"]


BAD_JWT: Final = "BadJwt"
BAD_METHOD: Final = "BadJwtLexiconMethod"
REFUSED: Final[dict[str, tuple[Callable[[Caller], str], str]]] = {
    "no token": (lambda _: "x", BAD_JWT),
    "two parts": (lambda _: "a.b", BAD_JWT),
    "four parts": (lambda caller: caller.sign() + ".x", BAD_JWT),
    "letters beyond ASCII": (lambda caller: caller.sign() + "\xff", BAD_JWT),
    "algorithm none": (lambda c: unsigned(c, "none"), BAD_JWT),
    "a symmetric algorithm": (lambda c: unsigned(c, "HS256"), BAD_JWT),
    "no algorithm": (lambda c: c.sign(header_={"alg": None}), BAD_JWT),
    "the algorithm of another curve": (
        lambda c: c.sign(header_={"alg": "ES256"}),
        "BadJwtSignature",
    ),
    "a session token": (lambda c: c.sign(header_={"typ": "at+jwt"}), "BadJwtType"),
    "a refresh token": (lambda c: c.sign(header_={"typ": "refresh+jwt"}), "BadJwtType"),
    "a DPoP proof": (lambda c: c.sign(header_={"typ": "dpop+jwt"}), "BadJwtType"),
    "a critical extension": (lambda c: c.sign(header_={"crit": ["x"], "x": 1}), BAD_JWT),
    "expired": (lambda c: c.sign(exp=now_s() - 2), "ExpiredToken"),
    "expired for years": (lambda c: c.sign(exp=1), "ExpiredToken"),
    "no expiry": (lambda c: c.sign(exp=None), BAD_JWT),
    "an expiry that is no number": (lambda c: c.sign(exp="soon"), BAD_JWT),
    "an hour and more": (lambda c: c.sign(exp=now_s() + HOUR_S + 10), BAD_JWT),
    "for ever": (lambda c: c.sign(exp=1e300), BAD_JWT),
    "not yet valid": (lambda c: c.sign(nbf=now_s() + HOUR_S), BAD_JWT),
    "another audience": (lambda c: c.sign(aud="did:web:other.example"), "BadJwtAudience"),
    "the server's account service": (lambda c: c.sign(aud="did:web:localhost"), "BadJwtAudience"),
    "another service": (lambda c: c.sign(aud=f"{HOLD_DID}#bsky_appview"), "BadJwtAudience"),
    "an audience with more": (lambda c: c.sign(aud=HOLD_DID + "0"), "BadJwtAudience"),
    "several audiences": (lambda c: c.sign(aud=[HOLD_DID]), BAD_JWT),
    "no audience": (lambda c: c.sign(aud=None), BAD_JWT),
    "another method": (lambda c: c.sign(lxm="com.atproto.repo.createRecord"), BAD_METHOD),
    "every method": (lambda c: c.sign(lxm="*"), BAD_METHOD),
    "no text for a method": (lambda c: c.sign(lxm=["io.atcr.hold.requestCrew"]), BAD_METHOD),
    "an empty method": (lambda c: c.sign(lxm=""), BAD_METHOD),
    "a method that begins alike": (lambda c: c.sign(lxm="io.atcr.holdfast.x"), BAD_METHOD),
    "an issuer that is no DID": (lambda c: c.sign(iss="alice.test"), "BadJwtIss"),
    "no issuer": (lambda c: c.sign(iss=None), BAD_JWT),
    "an unknown issuer": (lambda _: unknown().sign(), "AuthenticationRequired"),
    "a method of DIDs that nobody knows": (
        lambda c: c.sign(iss="did:example:alice"),
        "AuthenticationRequired",
    ),
    "another key": (lambda c: c.sign(key_=OTHER_KEY), "BadJwtSignature"),
    "another key of another curve": (lambda c: c.sign(key_=OTHER_P256), "BadJwtSignature"),
    "no signature": (lambda c: c.sign().rpartition(".")[0] + ".", "BadJwtSignature"),
    "another signature": (
        lambda c: f"{c.sign().rpartition('.')[0]}.{c.sign(lxm=None).rpartition('.')[2]}",
        "BadJwtSignature",
    ),
    "deep claims": (lambda c: f"{encode({'alg': c.key.jwt_alg})}.{'W1' * 2_000}.AAAA", BAD_JWT),
}


def unsigned(caller: Caller, alg: str) -> str:
    """A token that names an algorithm which needs no key of its issuer."""
    signed = caller.sign(header_={"alg": alg}).rpartition(".")[0]
    return f"{signed}." if alg == "none" else f"{signed}.{encode('secret')}"


async def test_any_other_token_is_refused_by_name(pds: Pds) -> None:
    for name, (make, error) in REFUSED.items():
        reply = await pds.post(REQUEST_CREW, headers=bearer(make(enroll(pds))))
        assert reply.error == (401, error), name


async def test_a_call_without_a_token_hears_what_is_missing(pds: Pds) -> None:
    for header, message in (
        (None, "missing Authorization header"),
        ("Basic YWRtaW46YWRtaW4=", "must be: Bearer"),
        ("Bearer", "missing token"),
        ("Bearer ", "missing token"),
        ("Bearer a b", "missing token"),
        ("", "must be: Bearer"),
    ):
        headers = {} if header is None else {"Authorization": header}
        reply = await pds.post(REQUEST_CREW, headers=headers)
        assert reply.error == (401, "AuthRequired"), header
        assert message in reply.json["message"], header


async def test_dpop_is_answered_as_no_token(pds: Pds) -> None:
    token = enroll(pds).sign()
    headers = {"Authorization": f"DPoP {token}", "DPoP": token}
    assert (await pds.post(REQUEST_CREW, headers=headers)).error == (401, "AuthMissing")


async def test_a_refusal_logs_the_method_of_the_token_once(pds: Pds) -> None:
    caller = enroll(pds)
    with capture_logs() as logs:
        for _ in range(3):
            await pds.post(REQUEST_CREW, headers=caller.bearer(lxm="com.example.new"))
    seen = [line for line in logs if "PDS_HOLD_TOKEN_METHODS" in line["event"]]
    assert [(line["lxm"], line["called"]) for line in seen] == [("com.example.new", REQUEST_CREW)]


async def test_a_token_larger_than_any_header_gets_no_further(pds: Pds) -> None:
    reply = await pds.post(REQUEST_CREW, headers=enroll(pds).bearer(padding="x" * 17_000))
    assert reply.status == 400


async def test_a_flood_of_bad_tokens_holds_up_neither_members_nor_readers(pds: Pds) -> None:
    member = enroll(pds)
    token = member.bearer()
    assert (await pds.post(REQUEST_CREW, headers=token)).status == 201
    bad = [unknown().bearer() for _ in range(40)]
    bad += [member.bearer(key_=OTHER_KEY, jti=number) for number in range(40)]
    bad += [bearer(f"{encode({'alg': 'ES256'})}.{'W1' * 3_500}.AAAA") for _ in range(40)]
    with loop_blocks() as blocks:
        refused, accepted, read = await asyncio.gather(
            asyncio.gather(*(pds.post(REQUEST_CREW, headers=each) for each in bad)),
            asyncio.gather(*(pds.post(REQUEST_CREW, headers=token) for _ in range(20))),
            asyncio.gather(
                *(pds.get("com.atproto.repo.describeRepo", repo=HOLD_DID) for _ in range(20))
            ),
        )
    assert {reply.status for reply in refused} == {401}
    assert {reply.status for reply in (*accepted, *read)} == {200}
    assert blocks.longest_ms < 50, blocks.where
