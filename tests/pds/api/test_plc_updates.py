"""com.atproto.identity: what a DID should say, and operations of its user that change it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from database.timestamps import iso_of
from identity.plc import PlcClient, PlcError
from identity.plc_data import PlcData, PlcService
from identity.plc_operation import PlcOperation
from pds.accounts.email_tokens import EmailTokenPurpose
from pds.accounts.scopes import SessionScope
from repo.keys import K256PrivateKey
from repo.syntax import Did
from tests.pds.api.moderation import Recorder, make_inactive
from tests.pds.conftest import Account, Pds, Reply

IDENTITY = "com.atproto.identity"
KEY = K256PrivateKey.from_bytes(b"\x31" * 32)


async def recommended(pds: Pds, account: Account) -> Any:
    reply = await pds.get(f"{IDENTITY}.getRecommendedDidCredentials", account.auth)
    assert reply.status == 200, reply.json
    return reply.json


async def mail_token(pds: Pds, account: Account) -> str:
    """A token as it is sent by mail."""
    return await pds.ctx.accounts.email_tokens.create(
        Did(account.did), EmailTokenPurpose.PLC_OPERATION
    )


async def sign(pds: Pds, account: Account, **body: Any) -> Reply:
    return await pds.post(f"{IDENTITY}.signPlcOperation", body, account.auth)


async def signed(pds: Pds, account: Account, **changes: Any) -> Any:
    """An operation signed with a token of its own."""
    reply = await sign(pds, account, token=await mail_token(pds, account), **changes)
    assert reply.status == 200, reply.json
    return reply.json["operation"]


async def submit(pds: Pds, account: Account, operation: Any) -> Reply:
    return await pds.post(f"{IDENTITY}.submitPlcOperation", {"operation": operation}, account.auth)


async def has_token(pds: Pds, account: Account, token: str) -> bool:
    """Whether a token is still good."""
    found = pds.ctx.accounts.db.value("SELECT token FROM email_token WHERE did = ?", (account.did,))
    return bool(found == token)


async def state(pds: Pds, account: Account) -> PlcData:
    return await pds.ctx.plc.data(Did(account.did))


# --- getRecommendedDidCredentials


async def test_a_new_did_says_what_is_recommended(pds: Pds, alice: Account) -> None:
    assert await recommended(pds, alice) == (await state(pds, alice)).to_json()


class TestWithARecoveryKeyOfTheOperator:
    @pytest.fixture
    def pds_environ(self) -> dict[str, str]:
        return {"PDS_RECOVERY_DID_KEY": KEY.did_key}

    async def test_it_is_recommended_before_the_server_s_own(
        self, pds: Pds, alice: Account
    ) -> None:
        assert (await recommended(pds, alice))["rotationKeys"] == [
            KEY.did_key,
            pds.ctx.rotation_key.did_key,
        ]


@pytest.mark.parametrize("state_of", ["deactivated", "takendown"])
async def test_an_inactive_account_is_told_what_it_needs(
    pds: Pds, alice: Account, state_of: str
) -> None:
    before = await recommended(pds, alice)
    await make_inactive(pds, alice, state_of)
    assert await recommended(pds, alice) == before


async def test_an_account_without_a_handle_is_recommended_none(pds: Pds, alice: Account) -> None:
    db = pds.ctx.accounts.db
    with db.transaction():
        db.run("UPDATE actor SET handle = NULL WHERE did = ?", (alice.did,))
    assert set(await recommended(pds, alice)) == {"verificationMethods", "rotationKeys", "services"}


async def test_nothing_is_recommended_to_strangers(pds: Pds, alice: Account) -> None:
    nsid = f"{IDENTITY}.getRecommendedDidCredentials"
    assert (await pds.get(nsid)).error == (401, "AuthMissing")
    await pds.post("com.atproto.admin.deleteAccount", {"did": alice.did}, pds.admin)
    assert (await pds.get(nsid, alice.auth)).error == (403, "AccountNotFound")


# --- signPlcOperation


async def test_what_is_left_out_keeps_its_value(pds: Pds, alice: Account) -> None:
    before = await state(pds, alice)
    for changes, expected in (
        ({}, before),
        ({"alsoKnownAs": ["at://dana.test"]}, replace(before, also_known_as=("at://dana.test",))),
        ({"rotationKeys": [KEY.did_key]}, replace(before, rotation_keys=(KEY.did_key,))),
        (
            {"verificationMethods": {"atproto": KEY.did_key}},
            replace(before, verification_methods={"atproto": KEY.did_key}),
        ),
        (
            {"services": {"other": {"type": "Other", "endpoint": "https://other.example.com"}}},
            replace(before, services={"other": PlcService("Other", "https://other.example.com")}),
        ),
    ):
        operation = PlcOperation.parse(await signed(pds, alice, **changes))
        assert operation.data == expected
        last = pds.plc.find_last(Did(alice.did))
        assert last is not None
        assert operation.prev == last.cid
        assert operation.find_signer([pds.ctx.rotation_key.did_key]) is not None
    # Signing changes nothing in the directory.
    assert len(pds.plc.log(Did(alice.did))) == 1
    assert await state(pds, alice) == before


async def test_a_token_signs_once_in_any_letter_case(pds: Pds, alice: Account) -> None:
    token = await mail_token(pds, alice)
    assert (await sign(pds, alice, token=token.lower())).status == 200
    again = await sign(pds, alice, token=token)
    assert (again.status, again.json) == (
        400,
        {"error": "InvalidToken", "message": "Token is invalid"},
    )


async def test_signing_needs_a_token_of_the_account_and_the_purpose(
    pds: Pds, alice: Account, bob: Account
) -> None:
    for body in ({}, {"token": ""}):
        reply = await sign(pds, alice, **body)
        assert (reply.status, reply.json) == (
            400,
            {
                "error": "InvalidRequest",
                "message": "email confirmation token required to sign PLC operations",
            },
        )
    others = await mail_token(pds, bob)
    of_another_purpose = await pds.ctx.accounts.email_tokens.create(
        Did(alice.did), EmailTokenPurpose.DELETE_ACCOUNT
    )
    for token in ("AAAAA-BBBBB", others, of_another_purpose):
        assert (await sign(pds, alice, token=token)).error == (400, "InvalidToken")
    assert await has_token(pds, bob, others)


async def test_a_token_that_has_expired_signs_nothing(pds: Pds, alice: Account) -> None:
    token = await mail_token(pds, alice)
    db = pds.ctx.accounts.db
    with db.transaction():
        db.run("UPDATE email_token SET requestedAt = ?", (iso_of(1_700_000_000),))
    reply = await sign(pds, alice, token=token)
    assert (reply.status, reply.json) == (
        400,
        {"error": "ExpiredToken", "message": "Token is expired"},
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rotationKeys": "x"}, 'Expected array value type (got "x") at $.rotationKeys'),
        ({"verificationMethods": [1]}, "Expected object value type (got [1])"),
        ({"verificationMethods": {"atproto": 5}}, "Not a valid operation: verificationMethods/"),
        ({"services": {"atproto_pds": "x"}}, "Not a valid operation: services/atproto_pds must"),
        ({"services": {"a": {"type": "A"}}}, "Not a valid operation: services/a/endpoint must be"),
        ({"alsoKnownAs": ["at://" + "a" * 8_000]}, "Operation too large (7500 bytes maximum"),
    ],
)
async def test_what_cannot_be_signed_leaves_the_token(
    pds: Pds, alice: Account, changes: dict[str, Any], message: str
) -> None:
    token = await mail_token(pds, alice)
    reply = await sign(pds, alice, token=token, **changes)
    assert reply.error == (400, "InvalidRequest")
    assert reply.json["message"].startswith(message)
    assert await has_token(pds, alice, token)


async def test_a_directory_that_is_away_costs_no_token(
    pds: Pds, alice: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unreachable(*_: object) -> None:
        raise PlcError(502, "the directory does not answer")

    token = await mail_token(pds, alice)
    with monkeypatch.context() as patch:
        patch.setattr(PlcClient, "last_op", unreachable)
        assert (await sign(pds, alice, token=token)).error == (502, "UpstreamFailure")
    assert (await sign(pds, alice, token=token)).status == 200


async def test_a_did_that_has_ended_is_not_changed(pds: Pds, alice: Account) -> None:
    await pds.ctx.plc.tombstone(Did(alice.did), key=pds.ctx.rotation_key)
    reply = await sign(pds, alice, token=await mail_token(pds, alice))
    assert (reply.status, reply.json) == (
        400,
        {"error": "InvalidRequest", "message": "Did is tombstoned"},
    )


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        (SessionScope.ACCESS, 200),
        (SessionScope.TAKENDOWN, 200),
        (SessionScope.APP_PASS, 400),
        (SessionScope.APP_PASS_PRIVILEGED, 400),
    ],
)
async def test_only_the_account_s_own_password_signs(
    pds: Pds, alice: Account, scope: SessionScope, status: int
) -> None:
    token = await mail_token(pds, alice)
    alice.access_jwt = pds.ctx.session_tokens.create_access(Did(alice.did), scope)
    reply = await sign(pds, alice, token=token)
    assert reply.status == status
    if status == 400:
        assert reply.json == {"error": "InvalidToken", "message": "Bad token scope"}
        assert await has_token(pds, alice, token)


# --- submitPlcOperation


async def test_an_operation_reaches_the_directory_the_cache_and_the_log(
    pds: Pds, alice: Account, new_events: Recorder
) -> None:
    new_events()
    await pds.ctx.did_resolver.resolve(Did(alice.did))
    before = await state(pds, alice)
    keys = [KEY.did_key, *before.rotation_keys]
    aliases = [f"at://{alice.handle}", "https://alice.example.com"]
    operation = await signed(pds, alice, rotationKeys=keys, alsoKnownAs=aliases)
    reply = await submit(pds, alice, operation)
    assert (reply.status, reply.body) == (200, b"")
    after = await state(pds, alice)
    assert after.rotation_keys == tuple(keys)
    (event,) = new_events()
    assert (event.kind, event.body) == ("identity", {"did": alice.did})
    described = await pds.get("com.atproto.repo.describeRepo", repo=alice.did)
    assert described.json["didDoc"]["alsoKnownAs"] == aliases


async def test_an_operation_may_be_signed_by_the_user_s_own_key(
    pds: Pds, alice: Account, new_events: Recorder
) -> None:
    before = await state(pds, alice)
    keys = (KEY.did_key, *before.rotation_keys)
    assert (
        await submit(pds, alice, await signed(pds, alice, rotationKeys=list(keys)))
    ).status == 200
    new_events()
    last = pds.plc.find_last(Did(alice.did))
    assert last is not None
    data = replace(before, rotation_keys=keys, also_known_as=(*before.also_known_as, "at://x.com"))
    own = PlcOperation.sign(data, prev=last.cid, key=KEY)
    # An app password is enough: what counts is who signed.
    alice.access_jwt = pds.ctx.session_tokens.create_access(Did(alice.did), SessionScope.APP_PASS)
    assert (await submit(pds, alice, own.to_json())).status == 200
    assert await state(pds, alice) == data
    assert len(new_events()) == 1


def _operations(operation: dict[str, Any], url: str) -> dict[str, tuple[Any, str]]:
    """Operations that are refused here, and what is said of each."""
    pds_type = "AtprotoPersonalDataServer"

    def service(kind: str, endpoint: str) -> dict[str, Any]:
        return {**operation, "services": {"atproto_pds": {"type": kind, "endpoint": endpoint}}}

    def also_known_as(*aliases: str) -> dict[str, Any]:
        return {**operation, "alsoKnownAs": list(aliases)}

    invalid = "Invalid operation"
    return {
        "no object": ("x", 'Expected object value type (got "x") at $.operation'),
        "empty": ({}, invalid),
        "no keys": ({**operation, "rotationKeys": None}, invalid),
        "no signature": ({**operation, "sig": None}, invalid),
        "tombstone": (
            {"type": "plc_tombstone", "prev": operation["prev"], "sig": operation["sig"]},
            invalid,
        ),
        "other type": ({**operation, "type": "create"}, invalid),
        "rotation keys": (
            {**operation, "rotationKeys": [KEY.did_key]},
            "Rotation keys do not include server's rotation key",
        ),
        "no service": ({**operation, "services": {}}, "Incorrect type on atproto_pds service"),
        "service type": (service("Other", url), "Incorrect type on atproto_pds service"),
        "service endpoint": (
            service(pds_type, "https://other.example.com"),
            "Incorrect endpoint on atproto_pds service",
        ),
        "no key": ({**operation, "verificationMethods": {}}, "Incorrect signing key"),
        "key": (
            {**operation, "verificationMethods": {"atproto": KEY.did_key}},
            "Incorrect signing key",
        ),
        "no handle": (also_known_as(), "Incorrect handle in alsoKnownAs"),
        "handle": (also_known_as("at://dana.test"), "Incorrect handle in alsoKnownAs"),
        "second": (
            also_known_as("at://dana.test", "at://alice.test"),
            "Incorrect handle in alsoKnownAs",
        ),
    }


async def test_operations_that_part_the_did_from_its_account_are_refused(
    pds: Pds, alice: Account, new_events: Recorder
) -> None:
    new_events()
    operation = await signed(pds, alice)
    for name, (changed, message) in _operations(operation, pds.ctx.settings.public_url).items():
        reply = await submit(pds, alice, changed)
        assert (reply.status, reply.json) == (
            400,
            {"error": "InvalidRequest", "message": message},
        ), name
    assert len(pds.plc.log(Did(alice.did))) == 1
    assert new_events() == []
    assert pds.ctx.unfinished.journal.entries() == []


async def test_what_the_directory_refuses_is_passed_on_and_told_to_nobody(
    pds: Pds, alice: Account, new_events: Recorder
) -> None:
    new_events()
    operation = await signed(pds, alice)
    for changed, message in (
        ({**operation, "sig": operation["sig"][::-1]}, "Invalid signature on op: "),
        ({**operation, "prev": None}, "Operations not correctly ordered"),
    ):
        reply = await submit(pds, alice, changed)
        assert reply.error == (400, "InvalidRequest")
        assert reply.json["message"].startswith(message)
    assert new_events() == []
    assert pds.ctx.unfinished.journal.entries() == []
    assert (await submit(pds, alice, operation)).status == 200
    assert (await submit(pds, alice, operation)).error == (400, "InvalidRequest")


async def test_an_account_without_a_handle_may_name_any(pds: Pds, alice: Account) -> None:
    db = pds.ctx.accounts.db
    with db.transaction():
        db.run("UPDATE actor SET handle = NULL WHERE did = ?", (alice.did,))
    operation = await signed(pds, alice, alsoKnownAs=["at://dana.example.com"])
    assert (await submit(pds, alice, operation)).status == 200


async def test_a_did_that_moved_here_submits_what_is_recommended(pds: Pds, alice: Account) -> None:
    """The step of a migration before the account is activated."""
    await make_inactive(pds, alice, "deactivated")
    operation = await signed(pds, alice, **await recommended(pds, alice))
    assert (await submit(pds, alice, operation)).status == 200
    activated = await pds.post("com.atproto.server.activateAccount", headers=alice.auth)
    assert activated.status == 200


async def test_operations_are_submitted_by_their_account(pds: Pds, alice: Account) -> None:
    operation = await signed(pds, alice)
    nsid = f"{IDENTITY}.submitPlcOperation"
    assert (await pds.post(nsid, {"operation": operation})).error == (401, "AuthMissing")
    missing = await pds.post(nsid, {}, alice.auth)
    assert missing.json["message"] == 'Missing required key "operation" at $'
    alice.access_jwt = pds.ctx.session_tokens.create_access(Did(alice.did), SessionScope.TAKENDOWN)
    assert (await submit(pds, alice, operation)).error == (400, "InvalidToken")


async def test_an_operation_of_another_account_is_refused(
    pds: Pds, alice: Account, bob: Account
) -> None:
    reply = await submit(pds, bob, await signed(pds, alice))
    assert reply.json["message"] == "Incorrect signing key"
