"""Methods of an account that the entryway answers, and the proof of whose account it is."""

from __future__ import annotations

from typing import Any

import pytest

from tests.entryway import DID, OWN_ADMIN, Entryway
from tests.pds.api.moderation import make_inactive
from tests.pds.conftest import Account, Pds, basic_auth

SERVER = "com.atproto.server."
IDENTITY = "com.atproto.identity."
ADMIN = "com.atproto.admin."
INVITES = "Account invites are managed by the entryway service"

FORWARDED: tuple[tuple[str, str, Any], ...] = (
    ("POST", f"{SERVER}createAppPassword", {"name": "app", "privileged": True}),
    ("GET", f"{SERVER}listAppPasswords", None),
    ("POST", f"{SERVER}revokeAppPassword", {"name": "app"}),
    ("GET", f"{SERVER}getAccountInviteCodes", None),
    ("POST", f"{SERVER}requestEmailConfirmation", None),
    ("POST", f"{SERVER}confirmEmail", {"email": "a@example.com", "token": "x"}),
    ("POST", f"{SERVER}requestEmailUpdate", None),
    ("POST", f"{SERVER}updateEmail", {"email": "b@example.com"}),
    ("POST", f"{SERVER}requestAccountDelete", None),
    ("POST", f"{IDENTITY}requestPlcOperationSignature", None),
    ("POST", f"{IDENTITY}signPlcOperation", {"token": "x", "rotationKeys": ["did:key:z1"]}),
)
WITH_OUTPUT = {
    f"{SERVER}createAppPassword",
    f"{SERVER}listAppPasswords",
    f"{SERVER}getAccountInviteCodes",
    f"{SERVER}requestEmailUpdate",
    f"{IDENTITY}signPlcOperation",
}


@pytest.mark.parametrize(
    ("verb", "nsid", "body"), FORWARDED, ids=[nsid for _, nsid, _ in FORWARDED]
)
async def test_a_service_token_of_the_account_goes_with_it(
    pds: Pds, entryway: Entryway, alice: Account, verb: str, nsid: str, body: Any
) -> None:
    reply = await pds.request(verb, f"/xrpc/{nsid}", headers=alice.auth, json=body)
    assert reply.status == 200, reply.body
    asked = entryway.last
    assert (asked.verb, asked.path, asked.json) == (verb, f"/xrpc/{nsid}", body)
    assert entryway.authenticate(asked).did == alice.did
    if nsid in WITH_OUTPUT:
        assert reply.json
        assert reply.headers["Cache-Control"] == "private"
    else:
        assert reply.body == b""


@pytest.mark.parametrize(
    ("verb", "nsid", "body"), FORWARDED, ids=[nsid for _, nsid, _ in FORWARDED]
)
async def test_nobody_asks_without_a_session(
    pds: Pds, entryway: Entryway, verb: str, nsid: str, body: Any
) -> None:
    reply = await pds.request(verb, f"/xrpc/{nsid}", json=body)
    assert reply.error == (401, "AuthMissing")
    assert entryway.asked == []


async def test_parameters_go_along(pds: Pds, entryway: Entryway, alice: Account) -> None:
    await pds.get(f"{SERVER}getAccountInviteCodes", alice.auth, includeUsed="false")
    assert entryway.last.path == f"/xrpc/{SERVER}getAccountInviteCodes?includeUsed=false"


async def test_a_client_cannot_have_the_token_that_the_entryway_is_shown(
    pds: Pds, entryway: Entryway, alice: Account
) -> None:
    """So the entryway may take the token for the word of this server."""
    for _, nsid, _ in FORWARDED:
        reply = await pds.get(f"{SERVER}getServiceAuth", alice.auth, aud=DID, lxm=nsid)
        assert reply.status == 400, nsid
    assert entryway.asked == []


async def test_an_account_that_is_taken_down_may_still_leave(
    pds: Pds, entryway: Entryway, alice: Account
) -> None:
    await make_inactive(pds, alice, "takendown")
    leaving = {"Authorization": f"Bearer {entryway.access(alice.did, 'com.atproto.takendown')}"}
    for nsid, body in (
        (f"{IDENTITY}requestPlcOperationSignature", None),
        (f"{IDENTITY}signPlcOperation", {"token": "x"}),
    ):
        assert (await pds.post(nsid, body, leaving)).status == 200
    reply = await pds.post(f"{SERVER}createAppPassword", {"name": "x"}, alice.auth)
    assert reply.error == (401, "AccountTakedown")


@pytest.mark.parametrize("nsid", [f"{SERVER}requestPasswordReset", f"{SERVER}resetPassword"])
async def test_a_forgotten_password_is_the_entryway_s_to_replace(
    pds: Pds, entryway: Entryway, nsid: str
) -> None:
    body = {"email": "a@example.com"} if nsid.endswith("Reset") else {"token": "x", "password": "y"}
    reply = await pds.post(nsid, body)
    assert (reply.status, reply.body) == (200, b"")
    assert (entryway.last.nsid, entryway.last.json) == (nsid, body)
    assert entryway.last.authorization is None


class TestForAdministrators:
    @pytest.mark.parametrize(
        ("name", "field"), [("updateAccountPassword", "did"), ("updateAccountEmail", "account")]
    )
    async def test_logins_are_changed_at_the_entryway_with_its_own_password(
        self, pds: Pds, entryway: Entryway, alice: Account, name: str, field: str
    ) -> None:
        body = {field: alice.did, "password": "new", "email": "new@example.com"}
        assert (await pds.post(ADMIN + name, body)).error == (401, "AuthenticationRequired")
        assert entryway.asked == []
        reply = await pds.post(ADMIN + name, body, pds.admin)
        assert (reply.status, reply.body) == (200, b"")
        assert entryway.last.json == body
        assert entryway.last.authorization == basic_auth("admin", OWN_ADMIN)["Authorization"]
        assert pds.ctx.accounts.get_account(alice.did).email is None

    async def test_a_stranger_has_no_address_to_change(self, pds: Pds, entryway: Entryway) -> None:
        body = {"account": "nobody.test", "email": "a@example.com"}
        reply = await pds.post(f"{ADMIN}updateAccountEmail", body, pds.admin)
        assert reply.error == (400, "InvalidRequest")
        assert reply.json["message"] == "Account does not exist: nobody.test"
        assert entryway.asked == []

    async def test_a_moderator_s_mail_is_sent_by_the_entryway(
        self, pds: Pds, entryway: Entryway, alice: Account
    ) -> None:
        body = {"recipientDid": alice.did, "content": "Hello", "senderDid": "did:web:mod.example"}
        reply = await pds.post(f"{ADMIN}sendEmail", body, pds.admin)
        assert (reply.status, reply.json) == (200, {"sent": True})
        assert entryway.authenticate(entryway.last).did == alice.did
        unknown = {**body, "recipientDid": "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"}
        reply = await pds.post(f"{ADMIN}sendEmail", unknown, pds.admin)
        assert reply.json["message"] == "Recipient not found"

    @pytest.mark.parametrize(
        ("nsid", "body"),
        [
            (f"{SERVER}createInviteCode", {"useCount": 1}),
            (f"{SERVER}createInviteCodes", {"useCount": 1, "codeCount": 1}),
            (f"{ADMIN}disableInviteCodes", {"codes": []}),
            (f"{ADMIN}disableAccountInvites", {"account": "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"}),
            (f"{ADMIN}enableAccountInvites", {"account": "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"}),
        ],
    )
    async def test_invite_codes_are_not_made_here(
        self, pds: Pds, entryway: Entryway, nsid: str, body: Any
    ) -> None:
        assert (await pds.post(nsid, body)).error == (401, "AuthenticationRequired")
        reply = await pds.post(nsid, body, pds.admin)
        assert (reply.error, reply.json["message"]) == ((400, "InvalidRequest"), INVITES)

    async def test_invite_codes_are_not_listed_here(self, pds: Pds, entryway: Entryway) -> None:
        reply = await pds.get(f"{ADMIN}getInviteCodes", pds.admin)
        assert (reply.error, reply.json["message"]) == ((400, "InvalidRequest"), INVITES)

    async def test_the_view_of_an_account_says_nothing_of_invites(
        self, pds: Pds, entryway: Entryway, alice: Account
    ) -> None:
        view = (await pds.get(f"{ADMIN}getAccountInfo", pds.admin, did=alice.did)).json
        assert sorted(view) == ["did", "handle", "indexedAt"]
        views = (await pds.get(f"{ADMIN}getAccountInfos", pds.admin, dids=alice.did)).json
        assert views == {"infos": [view]}
