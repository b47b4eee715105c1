"""What is asked of each server, in this order."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

from identity.plc_data import PlcService
from identity.plc_operation import PlcOperation
from repo.keys import K256PrivateKey, P256PrivateKey
from tests.conformance.client import basic, bearer
from tests.conformance.entryway.behind import Behind
from tests.entryway import DID, PDS_ADMIN, answering, decode, sign
from tests.pds.upstream import slam

SERVER = "com.atproto.server."
IDENTITY = "com.atproto.identity."
ADMIN = "com.atproto.admin."
STRANGER = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
HANDLE, PASSWORD = "alice.test", "alice-password"


def _sign_up(behind: Behind) -> None:
    entryway, run, create = behind.entryway, behind.run, f"{SERVER}createAccount"
    stranger = K256PrivateKey.from_bytes(b"\x31" * 32)

    def arrive(name: str, operation: PlcOperation, handle: str = HANDLE, **more: Any) -> None:
        body = {"did": operation.did(), "handle": handle, "plcOp": operation.to_json(), **more}
        behind.call(name, create, {k: v for k, v in body.items() if v is not None})

    key = run(entryway.reserve_key())
    genesis = entryway.genesis
    arrive("no DID", genesis(HANDLE, key), did=None)
    arrive("no operation", genesis(HANDLE, key), plcOp=None)
    arrive("an operation of nothing", genesis(HANDLE, key), plcOp={})
    arrive("a handle that is none", genesis(HANDLE, key), "alice_test")
    arrive("another handle", genesis("bob.test", key))
    arrive("no rotation key", genesis(HANDLE, key, rotation_keys=()))
    arrive("another rotation key", genesis(HANDLE, key, rotation_keys=(stranger.did_key,)))
    elsewhere = {"atproto_pds": PlcService("AtprotoPersonalDataServer", "https://b.example")}
    arrive("another server", genesis(HANDLE, key, services=elsewhere))
    arrive("a key that is not reserved", genesis(HANDLE, stranger.did_key))
    data = genesis(HANDLE, key, rotation_keys=(stranger.did_key, entryway.rotation_key.did_key))
    assert data.data is not None
    arrive("another signature", PlcOperation.sign(data.data, prev=None, key=stranger))
    operation = genesis(HANDLE, key)
    arrive("an account", operation)
    login = run(entryway.sign_up("bob.test", PASSWORD))
    behind.names[login.did] = "<bob>"
    behind.alice = operation.did()
    entryway.logins[behind.alice] = type(login)(behind.alice, HANDLE, PASSWORD, key)
    arrive("a handle that is taken", genesis(HANDLE, run(entryway.reserve_key())))


def _use_sessions(behind: Behind) -> None:
    entryway, alice = behind.entryway, behind.alice
    credentials = {"identifier": HANDLE, "password": PASSWORD}
    session = behind.call("log in", f"{SERVER}createSession", credentials).json
    behind.call("wrong password", f"{SERVER}createSession", {**credentials, "password": "x"})
    behind.call("no password", f"{SERVER}createSession", {"identifier": HANDLE})
    behind.call("DPoP", f"{SERVER}createSession", credentials, "DPoP token")
    access, refresh = (_bearer(session[name]) for name in ("accessJwt", "refreshJwt"))
    behind.query("session", f"{SERVER}getSession", access)
    behind.query("session by refresh token", f"{SERVER}getSession", refresh)
    behind.call("refresh", f"{SERVER}refreshSession", auth=refresh)
    behind.call("refresh by access token", f"{SERVER}refreshSession", auth=access)
    behind.call("refresh by nobody", f"{SERVER}refreshSession")
    unknown = _bearer(entryway.refresh(STRANGER))
    behind.call("refresh by a stranger", f"{SERVER}refreshSession", auth=unknown)
    behind.call("end", f"{SERVER}deleteSession", auth=refresh)
    behind.call("end by nobody", f"{SERVER}deleteSession")
    behind.query("status", f"{SERVER}checkAccountStatus", access)
    queued = _bearer(entryway.access(alice, "com.atproto.signupQueued"))
    behind.query("queue", "com.atproto.temp.checkSignupQueue", queued)
    behind.query("queue by nobody", "com.atproto.temp.checkSignupQueue")
    behind.call("forgotten", f"{SERVER}requestPasswordReset", {"email": "Nobody@example.com"})
    behind.call("new password", f"{SERVER}resetPassword", {"token": "x", "password": "y"})


def _forge(behind: Behind) -> None:
    entryway, alice = behind.entryway, behind.alice
    token = entryway.access(alice)
    claims = decode(token.split(".")[1])
    other, curve = K256PrivateKey.generate(), P256PrivateKey.generate()
    for name, forged in {
        "a token of another key": sign(other, "at+jwt", claims),
        "a token of another curve": sign(curve, "at+jwt", claims),
        "a token of another curve by a wrong name": sign(curve, "at+jwt", claims, alg="ES256K"),
        "a token called HS256": sign(entryway.jwt_key, "at+jwt", claims, alg="HS256"),
        "a token of no algorithm": sign(entryway.jwt_key, "at+jwt", claims, alg="none"),
        "a token without a type": sign(entryway.jwt_key, None, claims),
        "a token of another type": sign(entryway.jwt_key, "refresh+jwt", claims),
        "a token for the entryway": entryway.access(alice, aud=DID),
        "a token of the past": entryway.access(alice, exp=claims["iat"] - 10),
        "a token of the future": entryway.access(alice, nbf=claims["iat"] + 1000),
        "a token for a method": entryway.access(alice, lxm="com.atproto.server.getSession"),
        "a token of another scope": entryway.access(alice, "com.atproto.everything"),
        "a token of no DID": entryway.access("alice"),
    }.items():
        behind.query(name, f"{SERVER}checkAccountStatus", _bearer(forged))


def _manage(behind: Behind) -> None:
    alice = _bearer(behind.entryway.access(behind.alice))
    app = _bearer(behind.entryway.access(behind.alice, "com.atproto.appPass"))
    stranger = _bearer(behind.entryway.access(STRANGER))
    for name, body in {
        "createAppPassword": {"name": "app"},
        "revokeAppPassword": {"name": "app"},
        "requestEmailConfirmation": None,
        "confirmEmail": {"email": "a@example.com", "token": "x"},
        "requestEmailUpdate": None,
        "updateEmail": {"email": "b@example.com"},
        "requestAccountDelete": None,
    }.items():
        behind.call(name, SERVER + name, body, alice)
        behind.call(f"{name} by nobody", SERVER + name, body)
        behind.call(f"{name} by an app", SERVER + name, body, app)
    behind.call(
        "createAppPassword by a stranger", f"{SERVER}createAppPassword", {"name": "a"}, stranger
    )
    behind.query("listAppPasswords", f"{SERVER}listAppPasswords", alice)
    codes = f"{SERVER}getAccountInviteCodes"
    behind.query("getAccountInviteCodes", f"{codes}?includeUsed=false&createAvailable=true", alice)
    for name, changes in {
        "requestPlcOperationSignature": None,
        "signPlcOperation": {"token": "x", "rotationKeys": ["did:key:zabc"]},
    }.items():
        behind.call(name, IDENTITY + name, changes, alice)
        behind.call(f"{name} by an app", IDENTITY + name, changes, app)
    behind.query("credentials", f"{IDENTITY}getRecommendedDidCredentials", alice)
    behind.query("described", f"{SERVER}describeServer")


def _administer(behind: Behind) -> None:
    admin, alice = basic("admin", PDS_ADMIN)["Authorization"], behind.alice
    by_alice = _bearer(behind.entryway.access(alice))
    for nsid, body in (
        (f"{SERVER}createInviteCode", {"useCount": 1}),
        (f"{SERVER}createInviteCodes", {"useCount": 1, "codeCount": 1}),
        (f"{ADMIN}disableInviteCodes", {"codes": []}),
        (f"{ADMIN}disableAccountInvites", {"account": alice}),
        (f"{ADMIN}enableAccountInvites", {"account": alice}),
        (f"{ADMIN}updateAccountPassword", {"did": alice, "password": "new-password"}),
        (f"{ADMIN}updateAccountEmail", {"account": alice, "email": "c@example.com"}),
        (f"{ADMIN}sendEmail", {"recipientDid": alice, "content": "x", "senderDid": alice}),
    ):
        behind.call(nsid, nsid, body, admin)
        behind.call(f"{nsid} by nobody", nsid, body)
        behind.call(f"{nsid} by a user", nsid, body, by_alice)
    behind.query("invite codes", f"{ADMIN}getInviteCodes", admin)
    behind.call(
        "email of a stranger",
        f"{ADMIN}updateAccountEmail",
        {"account": STRANGER, "email": "c@example.com"},
        admin,
    )
    behind.call(
        "email to a stranger",
        f"{ADMIN}sendEmail",
        {"recipientDid": STRANGER, "content": "x", "senderDid": alice},
        admin,
    )
    behind.query("account", f"{ADMIN}getAccountInfo?did={alice}", admin)
    behind.query("accounts", f"{ADMIN}getAccountInfos?dids={alice}", admin)


def _change_handle(behind: Behind) -> None:
    admin = basic("admin", PDS_ADMIN)["Authorization"]
    alice = _bearer(behind.entryway.access(behind.alice))
    update, follow = f"{IDENTITY}updateHandle", f"{ADMIN}updateAccountHandle"
    behind.call("handle", update, {"handle": "alicia.test"}, alice)
    behind.call("handle by nobody", update, {"handle": "alicia.test"})
    behind.call("follow another handle", follow, {"did": behind.alice, "handle": "x99.test"}, admin)
    behind.call("follow as a stranger", follow, {"did": STRANGER, "handle": "x99.test"}, admin)
    behind.call(
        "follow to a taken handle", follow, {"did": behind.alice, "handle": "bob.test"}, admin
    )
    behind.query("described repo", f"com.atproto.repo.describeRepo?repo={behind.alice}")


def _come_and_go(behind: Behind) -> None:
    alice = _bearer(behind.entryway.access(behind.alice))
    later = {"deleteAfter": "2030-01-01T00:00:00.000Z"}
    behind.call("deactivate", f"{SERVER}deactivateAccount", later, alice)
    behind.call("deactivate by nobody", f"{SERVER}deactivateAccount", {})
    behind.query("status of a deactivated account", f"{SERVER}checkAccountStatus", alice)
    behind.call("activate", f"{SERVER}activateAccount", auth=alice)
    behind.call("activate by nobody", f"{SERVER}activateAccount")
    deletion = {"did": behind.alice, "password": PASSWORD, "token": "wrong"}
    behind.call("delete with a wrong code", f"{SERVER}deleteAccount", deletion)
    behind.call("delete a stranger", f"{SERVER}deleteAccount", {**deletion, "did": STRANGER})
    behind.call("delete", f"{SERVER}deleteAccount", {**deletion, "token": "CODE1-CODE2"})
    behind.query("repo of a deleted account", f"com.atproto.repo.describeRepo?repo={behind.alice}")


def _fail(behind: Behind) -> None:
    """Last, for the entryway answers nothing else from here on."""
    credentials = {"identifier": HANDLE, "password": PASSWORD}
    error = json.dumps({"error": "Custom", "message": "no", "more": 1})
    answers: dict[str, dict[str, Any]] = {
        "refused with a name": {"status": 401, "text": error, "content_type": "application/json"},
        "refused in text": {"status": 400, "text": "no"},
        "too many": {"status": 429, "text": error, "content_type": "application/json"},
        "failed": {"status": 500, "text": error, "content_type": "application/json"},
        "unavailable": {"status": 503, "text": error, "content_type": "application/json"},
        "a page": {"text": "<html>", "content_type": "text/html"},
        "no JSON": {"text": "{", "content_type": "application/json"},
        "a redirect": {"status": 302, "headers": {"Location": "/elsewhere"}},
    }
    for name, answer in answers.items():
        behind.entryway.answer = answering(**answer)
        behind.call(name, f"{SERVER}createSession", credentials)
    behind.entryway.answer = slam
    behind.call("cut off", f"{SERVER}createSession", credentials)


def _bearer(token: str) -> str:
    return bearer(token)["Authorization"]


PARTS: Final[tuple[Callable[[Behind], None], ...]] = (
    _sign_up,
    _use_sessions,
    _forge,
    _manage,
    _administer,
    _change_handle,
    _come_and_go,
    _fail,
)
