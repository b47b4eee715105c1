"""com.atproto.server: logging in, renewing and ending sessions, describing the server."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from pds.accounts.refresh_tokens import GRACE_S
from pds.accounts.session_tokens import ACCESS_LIFETIME_S, REFRESH_LIFETIME_S
from repo.syntax import Did
from tests.pds.conftest import Account, Pds, Reply

CREATE = "com.atproto.server.createSession"
REFRESH = "com.atproto.server.refreshSession"
DELETE = "com.atproto.server.deleteSession"
GET = "com.atproto.server.getSession"


async def login(pds: Pds, identifier: str, password: str, **more: Any) -> Reply:
    return await pds.post(CREATE, {"identifier": identifier, "password": password, **more})


async def refresh(pds: Pds, refresh_jwt: str) -> Reply:
    return await pds.post(REFRESH, headers=bearer(refresh_jwt))


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def claims_of(token: str) -> dict[str, Any]:
    part = token.split(".")[1]
    claims = orjson.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    assert isinstance(claims, dict)
    return claims


@pytest.fixture
def later(pds: Pds, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the clocks of sessions and tokens forward, by seconds from now."""
    sessions, tokens = pds.ctx.accounts.sessions, pds.ctx.session_tokens
    clock = sessions._clock

    def set_forward(seconds: float) -> None:
        monkeypatch.setattr(sessions, "_clock", lambda: clock() + seconds)
        monkeypatch.setattr(tokens, "_clock", lambda: clock() + seconds)

    return set_forward


# --- createSession


@pytest.mark.parametrize("name", ["handle", "email", "did"])
async def test_an_account_logs_in_by_handle_address_or_did(
    pds: Pds, alice: Account, name: str
) -> None:
    identifier: str = getattr(alice, name)
    for spelling in (identifier, identifier.upper() if name != "did" else identifier):
        reply = await login(pds, spelling, alice.password)
        assert reply.status == 200
        tokens = {key: reply.json.pop(key) for key in ("accessJwt", "refreshJwt")}
        assert reply.json == {
            "did": alice.did,
            "handle": alice.handle,
            "email": alice.email,
            "emailConfirmed": False,
            "active": True,
        }
        session = await pds.get(GET, bearer(tokens["accessJwt"]))
        assert session.json == reply.json


@pytest.mark.parametrize(
    "identifier",
    [
        "alice.test",
        "nobody.test",
        "nobody@example.com",
        "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa",
        "",
        "@",
    ],
)
@pytest.mark.usefixtures("alice")
async def test_a_wrong_login_does_not_tell_what_was_wrong(pds: Pds, identifier: str) -> None:
    reply = await login(pds, identifier, "wrong")
    assert reply.status == 401
    assert reply.json == {
        "error": "AuthenticationRequired",
        "message": "Invalid identifier or password",
    }


async def test_overlong_passwords_are_not_checked(pds: Pds, alice: Account) -> None:
    assert (await login(pds, alice.handle, "x" * 512)).json["message"] == (
        "Invalid identifier or password"
    )
    reply = await login(pds, alice.handle, "x" * 513)
    assert reply.error == (401, "AuthenticationRequired")
    assert reply.json["message"] == "Password too long. Consider resetting your password."


async def test_sessions_are_of_the_form_of_the_reference(pds: Pds, alice: Account) -> None:
    access, refreshed = claims_of(alice.access_jwt), claims_of(alice.refresh_jwt)
    assert list(access) == ["scope", "aud", "sub", "iat", "exp"]
    assert (access["scope"], access["aud"]) == ("com.atproto.access", "did:web:localhost")
    assert access["exp"] - access["iat"] == ACCESS_LIFETIME_S
    assert list(refreshed) == ["scope", "aud", "sub", "jti", "iat", "exp"]
    assert refreshed["scope"] == "com.atproto.refresh"
    assert refreshed["exp"] - refreshed["iat"] == REFRESH_LIFETIME_S
    assert access["sub"] == refreshed["sub"] == alice.did


async def test_the_did_document_is_not_sent_with_sessions(pds: Pds, alice: Account) -> None:
    assert "didDoc" not in (await login(pds, alice.handle, alice.password)).json


class TestWithDidDocuments:
    @pytest.fixture
    def pds_environ(self) -> dict[str, str]:
        return {"PDS_ENABLE_DID_DOC_WITH_SESSION": "true"}

    async def test_they_are_sent_with_sessions(self, pds: Pds, alice: Account) -> None:
        replies = [
            await login(pds, alice.handle, alice.password),
            await pds.get(GET, alice.auth),
            await refresh(pds, alice.refresh_jwt),
        ]
        assert [reply.json["didDoc"]["id"] for reply in replies] == [alice.did] * 3


# --- refreshSession


async def test_refreshing_renews_both_tokens(pds: Pds, alice: Account) -> None:
    reply = await refresh(pds, alice.refresh_jwt)
    assert reply.status == 200
    assert set(reply.json) == {
        "accessJwt",
        "refreshJwt",
        "did",
        "handle",
        "email",
        "emailConfirmed",
        "active",
    }
    assert (await pds.get(GET, bearer(reply.json["accessJwt"]))).json["did"] == alice.did
    assert claims_of(reply.json["refreshJwt"])["jti"] != claims_of(alice.refresh_jwt)["jti"]


async def test_concurrent_refreshes_get_one_successor(pds: Pds, alice: Account) -> None:
    replies = await asyncio.gather(*(refresh(pds, alice.refresh_jwt) for _ in range(5)))
    assert [reply.status for reply in replies] == [200] * 5
    assert len({claims_of(reply.json["refreshJwt"])["jti"] for reply in replies}) == 1


async def test_a_used_token_works_on_for_a_fixed_grace(
    pds: Pds, alice: Account, later: Callable[[float], None]
) -> None:
    first = await refresh(pds, alice.refresh_jwt)
    later(GRACE_S - 60)
    again = await refresh(pds, alice.refresh_jwt)
    jtis = {claims_of(reply.json["refreshJwt"])["jti"] for reply in (first, again)}
    assert len(jtis) == 1
    later(GRACE_S + 60)
    late = await refresh(pds, alice.refresh_jwt)
    assert late.error == (400, "ExpiredToken")
    assert late.json["message"] == "Token has been revoked"
    assert (await refresh(pds, first.json["refreshJwt"])).status == 200


async def test_sessions_expire(pds: Pds, alice: Account, later: Callable[[float], None]) -> None:
    assert (await pds.get(GET, alice.auth)).status == 200
    later(ACCESS_LIFETIME_S + 1)
    expired = {"error": "ExpiredToken", "message": "Token has expired"}
    assert (await pds.get(GET, alice.auth)).json == expired
    later(REFRESH_LIFETIME_S + 1)
    assert (await refresh(pds, alice.refresh_jwt)).json == expired


async def test_a_refresh_takes_no_body(pds: Pds, alice: Account) -> None:
    reply = await pds.post(REFRESH, {}, alice.refresh_auth)
    assert reply.json == {
        "error": "InvalidRequest",
        "message": "A request body was provided when none was expected",
    }


async def test_a_session_of_a_deleted_account_is_of_no_use(pds: Pds, alice: Account) -> None:
    await pds.ctx.accounts.delete_account(Did(alice.did))
    message = f"Could not find user info for account: {alice.did}"
    for reply in (await pds.get(GET, alice.auth), await refresh(pds, alice.refresh_jwt)):
        assert reply.error == (400, "InvalidRequest")
        assert reply.json["message"] == message


# --- deleteSession


async def test_a_session_can_be_ended_once_and_again(pds: Pds, alice: Account) -> None:
    other = (await login(pds, alice.handle, alice.password)).json["refreshJwt"]
    for _ in range(2):
        reply = await pds.post(DELETE, headers=alice.refresh_auth)
        assert (reply.status, reply.body) == (200, b"")
    gone = await refresh(pds, alice.refresh_jwt)
    assert gone.error == (400, "ExpiredToken")
    assert (await pds.get(GET, alice.auth)).status == 200
    assert (await refresh(pds, other)).status == 200


async def test_ending_a_session_ends_what_it_was_renewed_from(pds: Pds, alice: Account) -> None:
    current = (await refresh(pds, alice.refresh_jwt)).json["refreshJwt"]
    assert (await pds.post(DELETE, headers=bearer(current))).status == 200
    for token in (alice.refresh_jwt, current):
        assert (await refresh(pds, token)).error == (400, "ExpiredToken")


async def test_an_expired_session_can_be_ended(
    pds: Pds, alice: Account, later: Callable[[float], None]
) -> None:
    later(REFRESH_LIFETIME_S + 1)
    assert (await pds.post(DELETE, headers=alice.refresh_auth)).status == 200


async def test_a_session_cannot_be_ended_with_a_forged_token(pds: Pds, alice: Account) -> None:
    head, claims, _ = alice.refresh_jwt.split(".")
    reply = await pds.post(DELETE, headers=bearer(f"{head}.{claims}.AAAA"))
    assert reply.error == (400, "InvalidToken")
    assert (await refresh(pds, alice.refresh_jwt)).status == 200


async def test_a_refresh_during_the_end_of_its_session_revives_nothing(
    pds: Pds, alice: Account
) -> None:
    """Whichever comes first, the token that ended the session is of no use afterwards."""
    await asyncio.gather(
        refresh(pds, alice.refresh_jwt), pds.post(DELETE, headers=alice.refresh_auth)
    )
    assert (await refresh(pds, alice.refresh_jwt)).error == (400, "ExpiredToken")


# --- Accounts that are not active


async def test_a_deactivated_account_logs_in_and_learns_its_state(pds: Pds, alice: Account) -> None:
    await pds.ctx.accounts.states.deactivate(Did(alice.did))
    for reply in (
        await login(pds, alice.handle, alice.password),
        await refresh(pds, alice.refresh_jwt),
        await pds.get(GET, alice.auth),
    ):
        assert reply.status == 200
        assert (reply.json["active"], reply.json["status"]) == (False, "deactivated")


async def test_an_account_that_is_taken_down_does_not_log_in(pds: Pds, alice: Account) -> None:
    await pds.ctx.accounts.states.takedown(Did(alice.did))
    takendown = {"error": "AccountTakedown", "message": "Account has been taken down"}
    for reply in (
        await login(pds, alice.handle, alice.password),
        await refresh(pds, alice.refresh_jwt),
    ):
        assert (reply.status, reply.json) == (401, takendown)
    session = await pds.get(GET, alice.auth)
    assert session.error == (400, "InvalidRequest")
    wrong = await login(pds, alice.handle, "wrong")
    assert wrong.json["message"] == "Invalid identifier or password"


async def test_an_account_that_is_taken_down_may_log_in_to_appeal(pds: Pds, alice: Account) -> None:
    await pds.ctx.accounts.states.takedown(Did(alice.did))
    reply = await login(pds, alice.handle, alice.password, allowTakendown=True)
    assert reply.status == 200
    assert (reply.json["active"], reply.json["status"]) == (False, "takendown")
    assert claims_of(reply.json["accessJwt"])["scope"] == "com.atproto.takendown"
    session = await pds.get(GET, bearer(reply.json["accessJwt"]))
    assert session.json == {"error": "InvalidToken", "message": "Bad token scope"}
    await pds.ctx.accounts.states.untakedown(Did(alice.did))
    renewed = await refresh(pds, reply.json["refreshJwt"])
    assert renewed.error == (400, "ExpiredToken")


async def test_a_takedown_ends_the_sessions_for_good(pds: Pds, alice: Account) -> None:
    await pds.ctx.accounts.states.takedown(Did(alice.did))
    await pds.ctx.accounts.states.untakedown(Did(alice.did))
    assert (await refresh(pds, alice.refresh_jwt)).error == (400, "ExpiredToken")
    assert (await login(pds, alice.handle, alice.password)).status == 200


# --- describeServer


async def test_the_server_describes_itself(pds: Pds) -> None:
    reply = await pds.get("com.atproto.server.describeServer")
    assert reply.json == {
        "did": "did:web:localhost",
        "availableUserDomains": [".test"],
        "inviteCodeRequired": False,
        "blobUploadLimit": 5_242_880,
        "links": {},
        "contact": {},
    }


class TestOfAnEstablishedServer:
    @pytest.fixture
    def pds_environ(self) -> dict[str, str]:
        return {
            "PDS_HOSTNAME": "pds.example.com",
            "PDS_SERVICE_HANDLE_DOMAINS": ".example.com,.example.org",
            "PDS_INVITE_REQUIRED": "true",
            "PDS_PRIVACY_POLICY_URL": "https://example.com/privacy",
            "PDS_TERMS_OF_SERVICE_URL": "https://example.com/terms",
            "PDS_CONTACT_EMAIL_ADDRESS": "admin@example.com",
            "PDS_BLOB_UPLOAD_LIMIT": "1000",
        }

    async def test_the_description_has_its_links(self, pds: Pds) -> None:
        reply = await pds.get("com.atproto.server.describeServer")
        assert reply.json == {
            "did": "did:web:pds.example.com",
            "availableUserDomains": [".example.com", ".example.org"],
            "inviteCodeRequired": True,
            "blobUploadLimit": 1000,
            "links": {
                "privacyPolicy": "https://example.com/privacy",
                "termsOfService": "https://example.com/terms",
            },
            "contact": {"email": "admin@example.com"},
        }
