"""Logins are the entryway's: what it signs opens the account here, and this server asks it."""

from __future__ import annotations

import time

import pytest

from tests.entryway import DID, Entryway, sign
from tests.pds.api.moderation import make_inactive
from tests.pds.conftest import Account, Pds, basic_auth
from tests.pds.raw_http import exchange

LOGIN = "com.atproto.server.createSession"
REFRESH = "com.atproto.server.refreshSession"
END = "com.atproto.server.deleteSession"
SESSION = "com.atproto.server.getSession"
STATUS = "com.atproto.server.checkAccountStatus"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_a_client_logs_in_here_writes_and_renews_its_session(
    pds: Pds, entryway: Entryway, alice: Account
) -> None:
    login = await pds.post(LOGIN, {"identifier": alice.handle, "password": alice.password})
    assert login.status == 200
    assert login.json["did"] == alice.did
    alice.access_jwt = login.json["accessJwt"]
    post = await pds.post_text(alice)
    assert post["uri"].startswith(f"at://{alice.did}/")
    renewed = await pds.post(REFRESH, headers=bearer(login.json["refreshJwt"]))
    assert renewed.status == 200
    alice.access_jwt = renewed.json["accessJwt"]
    await pds.post_text(alice)
    session = await pds.get(SESSION, alice.auth)
    assert (session.json["handle"], session.json["email"]) == (alice.handle, "a@example.com")


async def test_a_login_goes_on_as_it_was_sent(pds: Pds, entryway: Entryway) -> None:
    body = {"identifier": "alice.test", "password": "pw", "authFactorToken": "x", "more": [1, 2.5]}
    headers = {"X-Forwarded-For": "203.0.113.7", "Cookie": "a=b", "User-Agent": "client"}
    await pds.post(LOGIN, body, headers)
    asked = entryway.last
    assert (asked.verb, asked.path, asked.json) == ("POST", f"/xrpc/{LOGIN}", body)
    assert asked.headers["X-Forwarded-For"] == "203.0.113.7"
    assert asked.headers["Content-Type"] == "application/json"
    assert asked.authorization is None
    assert {"Cookie", "User-Agent", "Origin"}.isdisjoint(asked.headers)


async def test_a_refused_login_is_told_in_the_entryway_s_words(
    pds: Pds, entryway: Entryway, alice: Account
) -> None:
    reply = await pds.post(LOGIN, {"identifier": alice.handle, "password": "no"})
    assert reply.error == (401, "AuthenticationRequired")
    assert reply.json["message"] == "Invalid identifier or password"


async def test_a_login_without_a_password_is_refused_here(pds: Pds, entryway: Entryway) -> None:
    reply = await pds.post(LOGIN, {"identifier": "alice.test"})
    assert reply.error == (400, "InvalidRequest")
    assert entryway.asked == []


@pytest.mark.parametrize(
    "headers", [{"Authorization": "DPoP token"}, {"DPoP": "proof", "Authorization": "Bearer x"}]
)
async def test_a_token_that_is_bound_to_a_key_is_not_passed_on(
    pds: Pds, entryway: Entryway, headers: dict[str, str]
) -> None:
    reply = await pds.post(LOGIN, {"identifier": "a", "password": "b"}, headers)
    assert reply.error == (400, "InvalidRequest")
    assert reply.json["message"] == "DPoP requests cannot be proxied"
    assert entryway.asked == []


async def test_a_refresh_token_is_verified_before_it_goes_on(
    pds: Pds, entryway: Entryway, alice: Account
) -> None:
    unknown = entryway.refresh("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")
    for token, error in (
        (alice.access_jwt, "InvalidToken"),
        (entryway.refresh(alice.did, aud=pds.ctx.settings.service_did), "InvalidToken"),
        (entryway.refresh(alice.did, exp=int(time.time()) - 1), "ExpiredToken"),
        (unknown, "InvalidRequest"),
    ):
        reply = await pds.post(REFRESH, headers=bearer(token))
        assert reply.error == (400, error)
    assert entryway.asked == []
    await pds.post(REFRESH, headers=alice.refresh_auth)
    assert entryway.last.authorization == f"Bearer {alice.refresh_jwt}"
    assert entryway.last.claims["aud"] == DID


async def test_an_account_that_is_taken_down_renews_no_session(
    pds: Pds, entryway: Entryway, alice: Account
) -> None:
    await make_inactive(pds, alice, "takendown")
    reply = await pds.post(REFRESH, headers=alice.refresh_auth)
    assert reply.error == (401, "AccountTakedown")
    assert entryway.asked == []


async def test_ending_a_session_is_for_the_entryway_to_judge(pds: Pds, entryway: Entryway) -> None:
    reply = await pds.post(END, headers={"Authorization": "Bearer anything"})
    assert (reply.status, reply.body) == (200, b"")
    assert entryway.last.authorization == "Bearer anything"


async def test_the_session_is_asked_for_with_a_service_token(
    pds: Pds, entryway: Entryway, alice: Account
) -> None:
    for _ in range(2):
        assert (await pds.get(SESSION, alice.auth)).status == 200
    first, second = (asked.claims for asked in entryway.asked)
    assert (first["iss"], first["aud"], first["lxm"]) == (alice.did, DID, SESSION)
    assert 0 < first["exp"] - time.time() <= 60
    # What opens the whole account is made anew each time.
    assert first["jti"] != second["jti"]


async def test_who_waits_to_sign_up_asks_the_entryway(
    pds: Pds, entryway: Entryway, alice: Account
) -> None:
    queued = entryway.access(alice.did, "com.atproto.signupQueued")
    reply = await pds.get("com.atproto.temp.checkSignupQueue", bearer(queued))
    assert reply.json == {"activated": False, "placeInQueue": 7}
    assert entryway.last.authorization == f"Bearer {queued}"
    assert (await pds.get(STATUS, bearer(queued))).error == (400, "InvalidToken")


async def test_a_token_of_another_key_opens_nothing(
    pds: Pds, entryway: Entryway, alice: Account
) -> None:
    forged = sign(pds.ctx.rotation_key, "at+jwt", _claims(pds, alice))
    for nsid in (SESSION, STATUS, "com.atproto.temp.checkSignupQueue"):
        assert (await pds.get(nsid, bearer(forged))).error == (400, "InvalidToken")
    reply = await pds.post("com.atproto.server.activateAccount", headers=bearer(forged))
    assert reply.error == (400, "InvalidToken")
    assert entryway.asked == []


async def test_app_passwords_have_the_scope_that_the_entryway_gives(
    pds: Pds, entryway: Entryway, alice: Account
) -> None:
    app = bearer(entryway.access(alice.did, "com.atproto.appPass"))
    assert (await pds.get(STATUS, app)).status == 200
    reply = await pds.post("com.atproto.server.createAppPassword", {"name": "x"}, app)
    assert reply.error == (400, "InvalidToken")


async def test_a_service_token_may_be_addressed_to_the_entryway(
    pds: Pds, entryway: Entryway, alice: Account
) -> None:
    lxm = "com.atproto.repo.uploadBlob"
    for audience, status in ((DID, 200), ("did:web:other.example.com", 401)):
        asked = await pds.get(
            "com.atproto.server.getServiceAuth", alice.auth, aud=audience, lxm=lxm
        )
        headers = {**bearer(asked.json["token"]), "Content-Type": "text/plain"}
        reply = await pds.request("POST", f"/xrpc/{lxm}", headers=headers, data=b"x")
        assert reply.status == status, reply.body


async def test_a_call_by_another_path_asks_for_the_same(
    pds: Pds, entryway: Entryway, alice: Account
) -> None:
    head = "GET /xrpc/com%2Eatproto.server.getSession/?x=1 HTTP/1.1\r\nHost: a\r\n" + "".join(
        f"{name}: {value}\r\n" for name, value in alice.auth.items()
    )
    await exchange(pds, f"{head}Connection: close\r\n\r\n".encode())
    assert entryway.last.path == f"/xrpc/{SESSION}?x=1"


async def test_a_header_that_no_client_sends_is_answered_all_the_same(
    pds: Pds, entryway: Entryway
) -> None:
    for value in (b"Bearer \xff", "Bearer \u00e9\u20ac".encode(), b"Bearer", b"x" * 5_000):
        head = f"POST /xrpc/{END} HTTP/1.1\r\nHost: a\r\nConnection: close\r\nAuthorization: "
        status, body = await exchange(pds, head.encode() + value + b"\r\n\r\n")
        assert status < 500, body


async def test_basic_authentication_is_no_session(pds: Pds, entryway: Entryway) -> None:
    reply = await pds.get(SESSION, basic_auth("alice.test", "pw"))
    assert reply.error == (400, "InvalidToken")
    assert entryway.asked == []


def _claims(pds: Pds, account: Account) -> dict[str, object]:
    now_s = int(time.time())
    audience = pds.ctx.settings.service_did
    return {"scope": "com.atproto.access", "sub": account.did, "aud": audience, "exp": now_s + 60}
