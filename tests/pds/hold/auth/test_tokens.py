"""Verified tokens: remembered while they are valid, and refused from memory if they never are."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from pds.hold.auth.token_rules import TokenRules
from pds.hold.auth.tokens import HoldTokens
from pds.service_auth.jwt import (
    BadJwt,
    BadJwtLexiconMethod,
    BadJwtSignature,
    JwtExpired,
    JwtIssuerUnresolved,
    ServiceJwtError,
)
from pds.xrpc.errors import XrpcError
from repo.keys import K256PrivateKey, P256PrivateKey, PublicKey
from tests.loop_blocks import loop_blocks
from tests.pds.conftest import Pds
from tests.pds.hold.callers import Caller, enroll, unknown
from tests.pds.hold.conftest import HOLD_DID

NSID: Final = "io.atcr.hold.initiateUpload"
HERE, THERE = "192.0.2.1", "198.51.100.0"
OTHER_KEY: Final = K256PrivateKey.from_bytes(b"\x09" * 32)


@dataclass(slots=True)
class Verifier:
    """`HoldTokens` as a hold has them, with a clock of the test, and what they resolve."""

    pds: Pds
    now_s: float = field(default_factory=time.time)
    resolved: list[tuple[str, bool]] = field(default_factory=list)
    tokens: HoldTokens = field(init=False)

    def __post_init__(self) -> None:
        rules = TokenRules(HOLD_DID, now_s=lambda: self.now_s)
        self.tokens = HoldTokens(rules, self.pds.ctx.did_resolver, self._resolve)

    async def verify(self, token: str, *, nsid: str = NSID, address: str = HERE) -> str:
        return await self.tokens.verify(token, nsid=nsid, address=address)

    async def refusal(self, token: str, *, address: str = HERE) -> Exception:
        """Why a token is refused."""
        with pytest.raises((ServiceJwtError, XrpcError)) as caught:
            await self.verify(token, address=address)
        return caught.value

    async def _resolve(self, iss: str, *, force: bool) -> PublicKey:
        self.resolved.append((iss, force))
        return await self.pds.ctx.service_auth.resolve_key(iss, force=force)


@pytest.fixture
def verifier(pds: Pds) -> Verifier:
    return Verifier(pds)


# --- Remembered


async def test_a_token_is_verified_once_for_many_calls(pds: Pds, verifier: Verifier) -> None:
    caller = enroll(pds)
    token = caller.sign()
    for nsid in (NSID, NSID, "io.atcr.hold.completeUpload"):
        assert await verifier.verify(token, nsid=nsid) == caller.did
    assert verifier.resolved == [(caller.did, False)]


async def test_a_remembered_token_is_for_its_method_alone(pds: Pds, verifier: Verifier) -> None:
    token = enroll(pds).sign(lxm="com.example.other.method")
    await verifier.verify(token, nsid="com.example.other.method")
    with pytest.raises(BadJwtLexiconMethod):
        await verifier.verify(token, nsid=NSID)


async def test_a_remembered_token_expires(pds: Pds, verifier: Verifier) -> None:
    token = enroll(pds).sign(exp=int(verifier.now_s) + 60)
    await verifier.verify(token)
    verifier.now_s += 61
    assert isinstance(await verifier.refusal(token), JwtExpired)


@pytest.mark.parametrize("curve", [K256PrivateKey, P256PrivateKey])
async def test_a_forgery_of_a_remembered_token_is_refused(
    pds: Pds, verifier: Verifier, curve: type[K256PrivateKey | P256PrivateKey]
) -> None:
    caller = enroll(pds, curve.generate())
    token = caller.sign()
    await verifier.verify(token)
    signed, _, signature = token.rpartition(".")
    other = caller.sign(aud=f"{HOLD_DID}#atcr_hold")
    forgeries = (
        f"{signed}.{other.rpartition('.')[2]}",
        f"{other.rpartition('.')[0]}.{signature}",
        f"{signed}.{'A' * 86}",
    )
    for forgery in forgeries:
        assert isinstance(await verifier.refusal(forgery), BadJwtSignature)
    assert await verifier.verify(token) == caller.did


async def test_a_refused_token_is_not_remembered_as_valid(pds: Pds, verifier: Verifier) -> None:
    token = enroll(pds).sign(key_=OTHER_KEY)
    for _ in range(3):
        assert isinstance(await verifier.refusal(token), BadJwtSignature)


async def test_a_token_ends_when_the_key_in_the_document_changes(
    pds: Pds, verifier: Verifier
) -> None:
    caller = enroll(pds)
    token = caller.sign()
    await verifier.verify(token)
    renewed = caller.name_key(pds, OTHER_KEY)
    await pds.ctx.did_resolver.refresh(caller.did)
    assert isinstance(await verifier.refusal(token), BadJwtSignature)
    assert await verifier.verify(Caller(caller.did, renewed.key).sign()) == caller.did


async def test_a_new_key_is_found_although_the_document_is_cached(
    pds: Pds, verifier: Verifier
) -> None:
    caller = enroll(pds)
    await verifier.verify(caller.sign())
    caller.name_key(pds, OTHER_KEY)
    assert await verifier.verify(caller.sign(key_=OTHER_KEY)) == caller.did
    assert verifier.resolved[-2:] == [(caller.did, False), (caller.did, True)]


async def test_no_token_is_too_large_to_refuse(pds: Pds, verifier: Verifier) -> None:
    token = enroll(pds).sign(padding="x" * 100_000)
    assert isinstance(await verifier.refusal(token), BadJwt)
    assert verifier.resolved == []


async def test_what_needs_no_look_up_is_checked_before_any(pds: Pds, verifier: Verifier) -> None:
    faults: list[dict[str, Any]] = [
        {"aud": "did:web:other.example"},
        {"exp": 1},
        {"exp": int(verifier.now_s) + 9_999},
        {"lxm": "com.example.other"},
        {"header_": {"typ": "at+jwt"}},
        {"header_": {"alg": "none"}},
    ]
    for fault in faults:
        await verifier.refusal(unknown().sign(**fault))
    assert verifier.resolved == []


# --- Refused from memory


def retry_after_s(refusal: Exception) -> int | None:
    return refusal.retry_after_s if isinstance(refusal, XrpcError) else None


async def test_bad_signatures_in_a_row_are_refused_from_memory(
    pds: Pds, verifier: Verifier
) -> None:
    caller = enroll(pds)
    refusals = [await verifier.refusal(caller.sign(key_=OTHER_KEY)) for _ in range(7)]
    last = refusals[-1]
    assert isinstance(last, XrpcError)
    assert (last.status, last.name, last.retry_after_s) == (401, "BadJwtSignature", 1)
    assert len({iss for iss, force in verifier.resolved if force}) == 1
    asked = len(verifier.resolved)
    assert retry_after_s(await verifier.refusal(caller.sign(key_=OTHER_KEY))) == 1
    assert len(verifier.resolved) == asked


async def test_forgeries_elsewhere_do_not_shut_out_their_victim(
    pds: Pds, verifier: Verifier
) -> None:
    victim = enroll(pds)
    for _ in range(30):
        await verifier.refusal(victim.sign(key_=OTHER_KEY), address=THERE)
    assert await verifier.verify(victim.sign(), address=HERE) == victim.did


async def test_a_valid_token_in_between_ends_the_row(pds: Pds, verifier: Verifier) -> None:
    caller = enroll(pds)
    for number in range(12):
        assert isinstance(await verifier.refusal(caller.sign(key_=OTHER_KEY)), BadJwtSignature)
        if number % 4 == 3:
            await verifier.verify(caller.sign(jti=number))


async def test_an_address_with_ever_new_unknown_dids_has_none_resolved_for_a_while(
    pds: Pds, verifier: Verifier
) -> None:
    known = enroll(pds)
    await verifier.verify(known.sign())
    remembered = known.sign()
    for _ in range(21):
        assert isinstance(await verifier.refusal(unknown().sign()), JwtIssuerUnresolved)
    asked = len(verifier.resolved)
    assert retry_after_s(await verifier.refusal(unknown().sign())) == 1
    assert len(verifier.resolved) == asked
    # Others have the same address, such as all users of an AppView.
    assert await verifier.verify(remembered) == known.did
    assert await verifier.verify(enroll(pds).sign(), address=THERE)


async def test_many_bad_tokens_at_once_hold_nobody_up(pds: Pds, verifier: Verifier) -> None:
    good = enroll(pds)
    token = good.sign()
    bad = [unknown().sign() for _ in range(60)]
    bad += [good.sign(key_=OTHER_KEY, jti=number) for number in range(60)]
    bad += [good.sign(padding="x" * 6_000, exp=number) for number in range(60)]
    await verifier.verify(token)
    with loop_blocks() as blocks:
        results = await asyncio.gather(
            *(verifier.verify(each, address=THERE) for each in bad),
            *(verifier.verify(token) for _ in range(60)),
            return_exceptions=True,
        )
    assert results[len(bad) :] == [good.did] * 60
    assert all(isinstance(result, Exception) for result in results[: len(bad)])
    assert blocks.longest_ms < 50, blocks.where
