"""Passkeys: who is let in by them, and what is refused."""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable

import cbor2
import pytest

from database.connection import Database
from pds.second_factors import passkeys
from pds.second_factors.challenges import LIFETIME_S
from pds.second_factors.errors import PasskeyCopied, PasskeyRefused, TooManyPasskeys
from pds.second_factors.second_factors import SecondFactors
from repo.syntax import Did
from tests.pds.accounts.conftest import ALICE, BOB, FakeClock
from tests.pds.second_factors.authenticator import Authenticator
from tests.pds.second_factors.conftest import DEVICE


def creation(factors: SecondFactors, did: Did = ALICE, device: str = DEVICE) -> str:
    return factors.passkeys.options_to_set_up(
        did, device, user_name="alice.test", user_id=did.encode()
    )


async def set_up(
    factors: SecondFactors, did: Did = ALICE, authenticator: Authenticator | None = None
) -> Authenticator:
    """Set up a passkey."""
    authenticator = authenticator or Authenticator()
    answer = authenticator.create(creation(factors, did))
    await factors.add_passkey(did, DEVICE, answer, name=" Blue key ")
    return authenticator


async def test_a_passkey_signs_in_after_the_password_and_instead_of_it(
    factors: SecondFactors,
) -> None:
    passkey = await set_up(factors)
    (shown,) = factors.of(ALICE).passkeys
    assert (shown.name, shown.used_at) == ("Blue key", None)
    second = factors.passkeys.options_to_sign_in(DEVICE, ALICE)
    await factors.check_passkey(ALICE, DEVICE, passkey.get(second))
    alone = factors.passkeys.options_to_sign_in(DEVICE, None)
    assert await factors.sign_in_with_passkey(DEVICE, passkey.get(alone)) == ALICE
    assert factors.of(ALICE).passkeys[0].used_at is not None


async def test_options_of_a_sign_in_tell_nothing_of_the_account(factors: SecondFactors) -> None:
    await set_up(factors)
    of_alice, of_bob = (
        {**json.loads(factors.passkeys.options_to_sign_in(DEVICE, did)), "challenge": ""}
        for did in (ALICE, BOB)
    )
    assert of_alice == of_bob
    assert of_alice["allowCredentials"] == []


async def test_the_first_passkey_brings_recovery_codes(factors: SecondFactors) -> None:
    passkey = Authenticator()
    codes = await factors.add_passkey(ALICE, DEVICE, passkey.create(creation(factors)), name="")
    assert len(codes) == 10
    again = await factors.add_passkey(
        ALICE, DEVICE, Authenticator().create(creation(factors)), name=""
    )
    assert again == ()


async def test_an_answer_is_taken_once_though_it_comes_twice_at_once(
    factors: SecondFactors,
) -> None:
    passkey = await set_up(factors)
    answer = passkey.get(factors.passkeys.options_to_sign_in(DEVICE, ALICE))
    results = await asyncio.gather(
        *(factors.check_passkey(ALICE, DEVICE, answer) for _ in range(3)), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in results) == [
        "NoneType",
        "PasskeyRefused",
        "PasskeyRefused",
    ]


async def test_a_synced_passkey_that_counts_nothing_is_not_replayed_either(
    factors: SecondFactors,
) -> None:
    passkey = await set_up(factors)
    answers = []
    for _ in range(2):
        passkey.uses = -1
        answers.append(passkey.get(factors.passkeys.options_to_sign_in(DEVICE, ALICE)))
        await factors.check_passkey(ALICE, DEVICE, answers[-1])
    with pytest.raises(PasskeyRefused, match="used before"):
        await factors.check_passkey(ALICE, DEVICE, answers[0])


async def test_a_copied_passkey_is_found_out_by_its_counter(factors: SecondFactors) -> None:
    passkey = await set_up(factors)
    passkey.uses = 7
    copy = Authenticator(uses=7, id=passkey.id, key=passkey.key)
    await factors.check_passkey(
        ALICE, DEVICE, passkey.get(factors.passkeys.options_to_sign_in(DEVICE, ALICE))
    )
    with pytest.raises(PasskeyCopied):
        await factors.check_passkey(
            ALICE, DEVICE, copy.get(factors.passkeys.options_to_sign_in(DEVICE, ALICE))
        )


async def test_a_passkey_that_does_not_verify_its_owner_is_no_substitute_for_the_password(
    factors: SecondFactors,
) -> None:
    passkey = await set_up(factors, authenticator=Authenticator(verifies=False))
    second = factors.passkeys.options_to_sign_in(DEVICE, ALICE)
    await factors.check_passkey(ALICE, DEVICE, passkey.get(second))
    alone = factors.passkeys.options_to_sign_in(DEVICE, None)
    with pytest.raises(PasskeyRefused):
        await factors.sign_in_with_passkey(DEVICE, passkey.get(alone))


@pytest.mark.parametrize(
    "make",
    [
        lambda factors: factors.passkeys.options_to_sign_in("dev-1", ALICE),
        lambda factors: factors.passkeys.options_to_sign_in(DEVICE, BOB),
        lambda factors: factors.passkeys.options_to_sign_in(DEVICE, None),
        lambda factors: creation(factors),
        lambda factors: '{"challenge": "AAAA"}',
        lambda factors: '{"challenge": ""}',
    ],
    ids=["another browser", "another account", "no account", "setting up", "made up", "none"],
)
async def test_a_challenge_is_for_one_purpose_account_and_browser(
    factors: SecondFactors, make: Callable[[SecondFactors], str]
) -> None:
    passkey = await set_up(factors)
    with pytest.raises(PasskeyRefused):
        await factors.check_passkey(ALICE, DEVICE, passkey.get(make(factors)))


async def test_an_answer_that_took_too_long_is_refused(
    factors: SecondFactors, clock: FakeClock
) -> None:
    passkey = await set_up(factors)
    options = factors.passkeys.options_to_sign_in(DEVICE, ALICE)
    clock.now_s += LIFETIME_S
    with pytest.raises(PasskeyRefused, match="too long"):
        await factors.check_passkey(ALICE, DEVICE, passkey.get(options))


@pytest.mark.parametrize(
    "change",
    [
        {"origin": "https://evil.example.com"},
        {"origin": "https://pds.example.com.evil.example"},
        {"type": "webauthn.create"},
        {"type": 7},
        {"challenge": None},
    ],
    ids=str,
)
async def test_answers_made_for_other_sites_or_acts_are_refused(
    factors: SecondFactors, change: dict[str, object]
) -> None:
    passkey = await set_up(factors)
    options = factors.passkeys.options_to_sign_in(DEVICE, ALICE)
    with pytest.raises(PasskeyRefused):
        await factors.check_passkey(ALICE, DEVICE, passkey.get(options, **change))


async def test_passkeys_of_others_and_forged_signatures_are_refused(
    factors: SecondFactors,
) -> None:
    mine, of_bob = await set_up(factors), await set_up(factors, BOB)
    forged = Authenticator(id=mine.id, uses=50)
    other_host = Authenticator(id=mine.id, key=mine.key, host="evil.example.com", uses=50)
    unknown = Authenticator()
    for passkey in (of_bob, forged, other_host, unknown):
        options = factors.passkeys.options_to_sign_in(DEVICE, ALICE)
        with pytest.raises(PasskeyRefused):
            await factors.check_passkey(ALICE, DEVICE, passkey.get(options))


@pytest.mark.parametrize(
    "answer",
    ["", "{}", "[]", "null", "7", '{"id": 1}', '"x"', "[" * 5_000, "x" * 100_000],
    ids=range(9),
)
async def test_what_is_no_answer_is_refused(factors: SecondFactors, answer: str) -> None:
    with pytest.raises(PasskeyRefused):
        await factors.sign_in_with_passkey(DEVICE, answer)
    with pytest.raises(PasskeyRefused):
        await factors.add_passkey(ALICE, DEVICE, answer, name="x")


@pytest.mark.parametrize("name", ["clientDataJSON", "authenticatorData", "signature"])
@pytest.mark.parametrize("value", ["", "AAAA", "%%%", None, 7, [], "A" * 5_000], ids=str)
async def test_every_damaged_part_of_an_answer_is_refused(
    factors: SecondFactors, name: str, value: object
) -> None:
    passkey = await set_up(factors)
    answer = json.loads(passkey.get(factors.passkeys.options_to_sign_in(DEVICE, ALICE)))
    answer["response"][name] = value
    with pytest.raises(PasskeyRefused):
        await factors.check_passkey(ALICE, DEVICE, json.dumps(answer))


@pytest.mark.parametrize(
    "attestation",
    [
        {"fmt": "packed", "attStmt": {"alg": -7, "sig": 1, "x5c": 1}},
        {"fmt": "tpm", "attStmt": {"ver": "2.0", "certInfo": b"", "pubArea": bytes(80)}},
        {"fmt": "android-safetynet", "attStmt": {"ver": "1", "response": 7}},
    ],
    ids=lambda each: each["fmt"],
)
async def test_hostile_attestations_are_refused(
    factors: SecondFactors, attestation: dict[str, object]
) -> None:
    answer = json.loads(Authenticator().create(creation(factors)))
    attested = answer["response"]["attestationObject"]
    data = cbor2.loads(urlsafe_b64decode(attested + "=="))["authData"]
    hostile = urlsafe_b64encode(cbor2.dumps({**attestation, "authData": data})).decode()
    answer["response"]["attestationObject"] = hostile.rstrip("=")
    with pytest.raises(PasskeyRefused):
        await factors.add_passkey(ALICE, DEVICE, json.dumps(answer), name="x")


async def test_nested_data_of_the_browser_is_refused(factors: SecondFactors) -> None:
    answer = json.loads(Authenticator().get(factors.passkeys.options_to_sign_in(DEVICE, None)))
    answer["response"]["clientDataJSON"] = urlsafe_b64encode(b"[" * 9_000).decode()
    with pytest.raises(PasskeyRefused):
        await factors.sign_in_with_passkey(DEVICE, json.dumps(answer))


async def test_a_passkey_is_of_one_account_and_their_number_is_bounded(
    factors: SecondFactors, monkeypatch: pytest.MonkeyPatch
) -> None:
    passkey = await set_up(factors)
    with pytest.raises(PasskeyRefused, match="set up already"):
        await set_up(factors, BOB, passkey)
    monkeypatch.setattr(passkeys, "MAX_EACH", 2)
    await set_up(factors)
    with pytest.raises(TooManyPasskeys):
        await set_up(factors)


async def test_a_removed_passkey_opens_nothing_though_its_sign_in_has_begun(
    factors: SecondFactors, db: Database
) -> None:
    passkey = await set_up(factors)
    options = factors.passkeys.options_to_sign_in(DEVICE, None)
    await factors.remove_passkey(BOB, passkey.id)
    assert factors.needed(ALICE)
    await factors.remove_passkey(ALICE, passkey.id)
    with pytest.raises(PasskeyRefused):
        await factors.sign_in_with_passkey(DEVICE, passkey.get(options))
    assert not factors.needed(ALICE)
