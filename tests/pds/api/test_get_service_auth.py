"""com.atproto.server.getServiceAuth: tokens by which an account speaks to other services."""

from __future__ import annotations

import time
from itertools import chain
from typing import Any

import jwt
import pytest

from pds.accounts.scopes import SessionScope
from pds.api import METHODS
from pds.service_auth.jwt import verify_service_jwt
from repo.keys import PublicKey
from repo.syntax import Did
from tests.pds.api.moderation import make_inactive
from tests.pds.conftest import Account, Pds, Reply

PROTECTED_METHODS = (
    "com.atproto.admin.sendEmail",
    "com.atproto.identity.requestPlcOperationSignature",
    "com.atproto.identity.signPlcOperation",
    "com.atproto.identity.updateHandle",
    "com.atproto.server.activateAccount",
    "com.atproto.server.confirmEmail",
    "com.atproto.server.createAppPassword",
    "com.atproto.server.deactivateAccount",
    "com.atproto.server.getAccountInviteCodes",
    "com.atproto.server.getSession",
    "com.atproto.server.listAppPasswords",
    "com.atproto.server.requestAccountDelete",
    "com.atproto.server.requestEmailConfirmation",
    "com.atproto.server.requestEmailUpdate",
    "com.atproto.server.revokeAppPassword",
    "com.atproto.server.updateEmail",
)
PRIVILEGED_METHODS = (
    "com.atproto.server.createAccount",
    "chat.bsky.convo.getLog",
    "chat.bsky.convo.addReaction",
    "chat.bsky.group.createInTheNextMonth",
)
AUD = "did:web:service.example.com"
CREATE_ACCOUNT = "com.atproto.server.createAccount"
TIMELINE = "app.bsky.feed.getTimeline"
PAST = "expiration is in past"
TOO_LONG = "cannot request a token with an expiration more than an hour in the future"
TOO_LONG_WITHOUT_METHOD = (
    "cannot request a method-less token with an expiration more than a minute in the future"
)
BAD_AUDIENCE = "aud must be a valid atproto DID or did#serviceId reference"


async def ask(pds: Pds, account: Account, aud: str = AUD, **params: Any) -> Reply:
    return await pds.get("com.atproto.server.getServiceAuth", account.auth, aud=aud, **params)


def claims_of(reply: Reply) -> dict[str, Any]:
    claims: dict[str, Any] = jwt.decode(reply.json["token"], options={"verify_signature": False})
    return claims


def session_of(pds: Pds, account: Account, scope: SessionScope) -> Account:
    """The account with a session of another scope."""
    access = pds.ctx.session_tokens.create_access(Did(account.did), scope)
    return Account(account.did, account.handle, account.email, account.password, access, "")


async def test_a_token_is_signed_with_the_key_of_the_did_document(pds: Pds, alice: Account) -> None:
    before = int(time.time())
    reply = await ask(pds, alice, lxm=TIMELINE)
    token = reply.json["token"]
    assert jwt.get_unverified_header(token) == {"typ": "JWT", "alg": "ES256K"}
    claims = claims_of(reply)
    assert list(claims) == ["iat", "iss", "aud", "exp", "lxm", "jti"]
    assert before <= claims["iat"] <= time.time()
    assert claims["exp"] == claims["iat"] + 60
    assert len(claims["jti"]) == 32

    async def resolve_key(iss: str, *, force: bool) -> PublicKey:
        document = await pds.ctx.did_resolver.resolve(Did(iss), force=force)
        key = pds.ctx.actor_store.key(iss)
        assert document.signing_key() == key.did_key
        return key.public

    verified = await verify_service_jwt(
        token, audiences=[AUD], lxm=TIMELINE, now_s=time.time(), resolve_key=resolve_key
    )
    assert (verified.iss, verified.aud) == (alice.did, AUD)


async def test_a_token_without_a_method_names_none(pds: Pds, alice: Account) -> None:
    for params in ({}, {"lxm": ""}):
        assert "lxm" not in claims_of(await ask(pds, alice, **params))


@pytest.mark.parametrize(
    "aud",
    [
        "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa",
        "did:web:localhost%3A2583",
        "did:web:api.bsky.app",
        "did:web:api.bsky.app#bsky_appview",
        "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa#atproto_labeler",
        "did:web:a.example.com#a%20b/c?d",
    ],
)
async def test_the_audience_is_a_did_or_one_of_its_services(
    pds: Pds, alice: Account, aud: str
) -> None:
    assert claims_of(await ask(pds, alice, aud))["aud"] == aud


@pytest.mark.parametrize(
    "aud",
    [
        "service.example.com",
        "did:web:",
        "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme",
        "did:example:a",
        "did:plc:aaaaaaaaaaaaaaaaaaaaaaa",
        "did:plc:aaaaaaaaaaaaaaaaaaaaaaa1",
        "did:plc:AAAAAAAAAAAAAAAAAAAAAAAA",
        "did:web:a.example.com:path",
        "did:web:a.example.com%3A443",
        "did:web:a.example.com%2Fpath",
        "did:web:a.example.com#",
        "did:web:a.example.com#a#b",
        "did:web:a.example.com#a%2",
        "did:web:a.example.com#a b",
        "did:web:a.example.com\n",
        "https://a.example.com",
    ],
)
async def test_other_audiences_are_refused(pds: Pds, alice: Account, aud: str) -> None:
    reply = await ask(pds, alice, aud)
    assert (reply.status, reply.json) == (
        400,
        {"error": "InvalidRequest", "message": BAD_AUDIENCE},
    )


async def test_parameters_are_those_of_the_lexicon(pds: Pds, alice: Account) -> None:
    for params in (
        {"aud": ""},
        {"aud": "did:web:" + "a" * 2048},
        {"exp": "soon"},
        {"lxm": "*"},
        {"lxm": "getTimeline"},
    ):
        assert (await ask(pds, alice, **params)).error == (400, "InvalidRequest")
    assert (await pds.get("com.atproto.server.getServiceAuth", aud=AUD)).error == (
        401,
        "AuthMissing",
    )


# --- How long


@pytest.mark.parametrize(("lxm", "most_s"), [(TIMELINE, 3600), (None, 60)])
async def test_a_token_expires_when_it_is_asked_to(
    pds: Pds, alice: Account, lxm: str | None, most_s: int
) -> None:
    params = {} if lxm is None else {"lxm": lxm}
    for lifetime_s in (30, most_s - 5):
        expires_at = int(time.time()) + lifetime_s
        assert claims_of(await ask(pds, alice, exp=expires_at, **params))["exp"] == expires_at


@pytest.mark.parametrize(
    ("in_s", "lxm", "message"),
    [
        (-5, None, PAST),
        (-5, TIMELINE, PAST),
        (65, None, TOO_LONG_WITHOUT_METHOD),
        (3605, TIMELINE, TOO_LONG),
        (3605, None, TOO_LONG),
    ],
)
async def test_tokens_of_the_past_and_of_long_life_are_refused(
    pds: Pds, alice: Account, in_s: int, lxm: str | None, message: str
) -> None:
    params = {} if lxm is None else {"lxm": lxm}
    reply = await ask(pds, alice, exp=int(time.time()) + in_s, **params)
    assert (reply.status, reply.json) == (400, {"error": "BadExpiration", "message": message})


async def test_expirations_that_are_no_time_are_refused(pds: Pds, alice: Account) -> None:
    assert (await ask(pds, alice, exp=-1)).error == (400, "BadExpiration")
    assert (await ask(pds, alice, exp=2**52)).error == (400, "BadExpiration")
    # The reference's way to have a token that is of no use.
    assert claims_of(await ask(pds, alice, exp=0))["exp"] == 0


# --- For what


def test_the_protected_methods_are_those_of_the_reference() -> None:
    declared = {each.nsid for each in chain.from_iterable(METHODS) if not each.elsewhere}
    assert declared == set(PROTECTED_METHODS)


@pytest.mark.parametrize("nsid", PROTECTED_METHODS)
async def test_protected_methods_are_not_for_other_services(
    pds: Pds, alice: Account, nsid: str
) -> None:
    spelled = nsid.removesuffix(nsid[-3:]) + nsid[-3:].upper()
    for lxm in (nsid, nsid.lower(), spelled):
        reply = await ask(pds, alice, lxm=lxm)
        assert (reply.status, reply.json) == (
            400,
            {
                "error": "InvalidRequest",
                "message": "cannot request a service auth token for the following protected "
                f"method: {lxm}",
            },
        )


@pytest.mark.parametrize("nsid", PRIVILEGED_METHODS)
async def test_privileged_methods_need_more_than_a_plain_app_password(
    pds: Pds, alice: Account, nsid: str
) -> None:
    for scope in (SessionScope.ACCESS, SessionScope.APP_PASS_PRIVILEGED):
        assert (await ask(pds, session_of(pds, alice, scope), lxm=nsid)).status == 200
    spelled = nsid.removesuffix(nsid[-3:]) + nsid[-3:].upper()
    for lxm in (nsid, spelled):
        reply = await ask(pds, session_of(pds, alice, SessionScope.APP_PASS), lxm=lxm)
        assert (reply.status, reply.json) == (
            400,
            {
                "error": "InvalidRequest",
                "message": "insufficient access to request a service auth token for the "
                f"following method: {lxm}",
            },
        )


async def test_other_methods_are_for_every_session(pds: Pds, alice: Account) -> None:
    session = session_of(pds, alice, SessionScope.APP_PASS)
    for params in ({}, {"lxm": TIMELINE}):
        assert (await ask(pds, session, **params)).status == 200


async def test_complaints_come_in_the_order_of_the_reference(pds: Pds, alice: Account) -> None:
    """Each step mends what the step before complained of."""
    session = session_of(pds, alice, SessionScope.APP_PASS)
    protected, privileged = "com.atproto.server.getSession", "chat.bsky.convo.getLog"
    seen = [
        (await ask(pds, one, aud, lxm=lxm, exp=exp)).json["message"].partition(" ")[0]
        for one, aud, lxm, exp in (
            (session, "x", privileged, 1),
            (session, AUD, privileged, 1),
            (session, AUD, protected, 1),
            (session, AUD, protected, int(time.time()) + 30),
        )
    ]
    assert seen == ["aud", "insufficient", "expiration", "cannot"]


# --- Whose account is in what state


async def test_a_deactivated_account_speaks_to_others(pds: Pds, alice: Account) -> None:
    await make_inactive(pds, alice, "deactivated")
    assert (await ask(pds, alice, lxm=TIMELINE)).status == 200


async def test_an_account_that_is_taken_down_may_only_move_away(pds: Pds, alice: Account) -> None:
    await make_inactive(pds, alice, "takendown")
    appeal = session_of(pds, alice, SessionScope.TAKENDOWN)
    for params in ({}, {"lxm": TIMELINE}, {"lxm": "com.atproto.server.getSession"}):
        refused = await ask(pds, appeal, **params)
        assert refused.json == {"error": "InvalidToken", "message": "Bad token scope"}
        # A session from before the takedown is of no more use.
        older = await ask(pds, alice, **params)
        assert older.json == {
            "error": "AccountTakedown",
            "message": "Account has been taken down",
        }
    for session in (appeal, alice):
        assert claims_of(await ask(pds, session, lxm=CREATE_ACCOUNT))["lxm"] == CREATE_ACCOUNT
    app = session_of(pds, alice, SessionScope.APP_PASS)
    assert (await ask(pds, app, lxm=CREATE_ACCOUNT)).error == (400, "InvalidRequest")


async def test_an_account_that_is_gone_speaks_to_nobody(pds: Pds, alice: Account) -> None:
    await pds.post("com.atproto.admin.deleteAccount", {"did": alice.did}, pds.admin)
    for params in ({}, {"lxm": CREATE_ACCOUNT}):
        reply = await ask(pds, alice, **params)
        assert (reply.status, reply.json) == (
            403,
            {"error": "AccountNotFound", "message": "Account not found"},
        )


async def test_other_credentials_do_not_sign(pds: Pds, alice: Account) -> None:
    queued = session_of(pds, alice, SessionScope.SIGNUP_QUEUED)
    assert (await ask(pds, queued)).error == (400, "InvalidToken")
    admin = await pds.get("com.atproto.server.getServiceAuth", pds.admin, aud=AUD)
    assert admin.json == {"error": "InvalidToken", "message": "Unexpected authorization type"}


@pytest.mark.parametrize("scope", [SessionScope.APP_PASS, SessionScope.APP_PASS_PRIVILEGED])
async def test_no_app_password_of_the_moderation_service_makes_a_moderator(
    pds: Pds, alice: Account, scope: SessionScope, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its account may be on this server."""
    monkeypatch.setattr(pds.ctx.service_auth, "_moderator_did", alice.did)
    lxm, here = "com.atproto.admin.getAccountInfo", pds.ctx.settings.service_did
    reply = await ask(pds, session_of(pds, alice, scope), here, lxm=lxm)
    assert reply.error == (400, "InvalidRequest")
    elsewhere = await ask(pds, session_of(pds, alice, scope), AUD, lxm=lxm)
    assert elsewhere.status == 200
    token = (await ask(pds, alice, here, lxm=lxm)).json["token"]
    headers = {"Authorization": f"Bearer {token}"}
    assert (await pds.get(lxm, headers, did=alice.did)).status == 200
