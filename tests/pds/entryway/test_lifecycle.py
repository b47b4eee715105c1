"""The state of an account, which the entryway decides and tells this server."""

from __future__ import annotations

import pytest

from identity.plc_operation import PlcOperation
from repo.syntax import Did
from tests.entryway import DID, Entryway, Refused
from tests.pds.api.conftest import HandleWorld
from tests.pds.api.moderation import Recorder
from tests.pds.conftest import Account, Pds
from tests.pds.events import kinds_of

ACTIVATE = "com.atproto.server.activateAccount"
DEACTIVATE = "com.atproto.server.deactivateAccount"
DELETE = "com.atproto.server.deleteAccount"
STATUS = "com.atproto.server.checkAccountStatus"


async def test_an_account_goes_and_comes_back_through_the_entryway(
    pds: Pds, entryway: Entryway, alice: Account, new_events: Recorder
) -> None:
    body = {"deleteAfter": "2030-01-01T00:00:00.000Z"}
    reply = await pds.post(DEACTIVATE, body, alice.auth)
    assert (reply.status, reply.body) == (200, b"")
    assert entryway.last.json == body
    assert entryway.last.claims["lxm"] == DEACTIVATE
    assert not pds.ctx.accounts.get_account(alice.did, include_inactive=True).active
    assert kinds_of(new_events()) == ["account"]
    reply = await pds.post(ACTIVATE, headers=alice.auth)
    assert (reply.status, reply.body) == (200, b"")
    # The entryway signed this token itself.
    assert entryway.last.authorization == f"Bearer {alice.access_jwt}"
    assert pds.ctx.accounts.get_account(alice.did).active
    assert kinds_of(new_events()) == ["account", "identity", "sync"]


async def test_a_did_that_the_entryway_cannot_change_is_not_activated(
    pds: Pds, entryway: Entryway, alice: Account
) -> None:
    await pds.post(DEACTIVATE, {}, alice.auth)
    assert (await pds.get(STATUS, alice.auth)).json["validDid"] is True
    last = pds.plc.find_last(_did(alice))
    assert last is not None
    data = entryway.genesis(
        alice.handle,
        entryway.logins[alice.did].signing_key,
        rotation_keys=(pds.ctx.rotation_key.did_key,),
    ).data
    assert data is not None
    pds.plc.append(_did(alice), PlcOperation.sign(data, prev=last.cid, key=entryway.rotation_key))
    assert (await pds.get(STATUS, alice.auth)).json["validDid"] is False
    reply = await pds.post(ACTIVATE, headers=alice.auth)
    assert reply.error == (400, "InvalidRequest")
    assert reply.json["message"] == "Server rotation key not included in PLC DID data"


async def test_an_account_is_deleted_when_the_entryway_says_so(
    pds: Pds, entryway: Entryway, alice: Account, new_events: Recorder
) -> None:
    body = {"did": alice.did, "password": alice.password, "token": "wrong"}
    assert (await pds.post(DELETE, body)).error == (401, "AuthenticationRequired")
    assert pds.ctx.accounts.get_account(alice.did).active
    reply = await pds.post(DELETE, {**body, "token": "CODE1-CODE2"})
    assert (reply.status, reply.body) == (200, b"")
    assert pds.ctx.accounts.find_account(alice.did, include_inactive=True) is None
    assert [(one.kind, one.body["status"]) for one in new_events()] == [("account", "deleted")]


async def test_a_stranger_is_not_deleted(pds: Pds, entryway: Entryway) -> None:
    body = {"did": "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", "password": "x", "token": "y"}
    reply = await pds.post(DELETE, body)
    assert (reply.error, reply.json["message"]) == ((400, "InvalidRequest"), "account not found")
    assert entryway.asked == []


async def test_recommended_credentials_name_the_entryway_s_rotation_key(
    pds: Pds, entryway: Entryway, alice: Account
) -> None:
    reply = await pds.get("com.atproto.identity.getRecommendedDidCredentials", alice.auth)
    assert reply.json["rotationKeys"] == [entryway.rotation_key.did_key]
    assert reply.json["alsoKnownAs"] == [f"at://{alice.handle}"]


async def test_a_user_s_operation_keeps_the_entryway_s_rotation_key(
    pds: Pds, entryway: Entryway, alice: Account
) -> None:
    last = pds.plc.find_last(_did(alice))
    assert last is not None
    assert last.data is not None
    own = pds.ctx.rotation_key.did_key
    key = entryway.logins[alice.did].signing_key
    for keys, status in (
        ((own,), 400),
        ((own, entryway.rotation_key.did_key), 200),
    ):
        data = entryway.genesis(alice.handle, key, rotation_keys=keys).data
        assert data is not None
        operation = PlcOperation.sign(data, prev=last.cid, key=entryway.rotation_key)
        reply = await pds.post(
            "com.atproto.identity.submitPlcOperation",
            {"operation": operation.to_json()},
            alice.auth,
        )
        assert reply.status == status, reply.body


class TestHandles:
    UPDATE = "com.atproto.identity.updateHandle"
    FOLLOW = "com.atproto.admin.updateAccountHandle"

    async def test_the_entryway_changes_the_did_and_this_server_follows(
        self, pds: Pds, entryway: Entryway, alice: Account, new_events: Recorder
    ) -> None:
        reply = await pds.post(self.UPDATE, {"handle": "alicia.test"}, alice.auth)
        assert (reply.status, reply.body) == (200, b"")
        assert entryway.last.json == {"handle": "alicia.test", "did": alice.did}
        assert entryway.last.claims["aud"] == DID
        assert pds.ctx.accounts.get_account(alice.did).handle == "alicia.test"
        ((kind, body),) = [(one.kind, one.body) for one in new_events()]
        assert (kind, body) == ("identity", {"did": alice.did, "handle": "alicia.test"})

    async def test_a_handle_that_the_did_does_not_name_is_refused(
        self, pds: Pds, entryway: Entryway, alice: Account, new_events: Recorder
    ) -> None:
        with pytest.raises(Refused) as caught:
            await entryway.call_pds(
                self.FOLLOW, {"did": alice.did, "handle": "alicia.test"}, as_admin=True
            )
        assert caught.value.json["message"] == "Handle does not match DID doc"
        assert pds.ctx.accounts.get_account(alice.did).handle == "alice.test"
        assert new_events() == []
        # Nor has this server changed it: it could not.
        last = pds.plc.find_last(_did(alice))
        assert last is not None
        assert last.prev is None

    async def test_only_the_administrator_lets_a_handle_follow(
        self, pds: Pds, entryway: Entryway, alice: Account
    ) -> None:
        reply = await pds.post(self.FOLLOW, {"did": alice.did, "handle": "alicia.test"}, alice.auth)
        assert reply.error == (401, "AuthenticationRequired")

    async def test_a_handle_of_another_account_is_refused(
        self, pds: Pds, entryway: Entryway, alice: Account
    ) -> None:
        bob = await entryway.sign_up("bob.test", "pw")
        reply = await pds.post(self.UPDATE, {"handle": bob.handle}, alice.auth)
        assert reply.error == (400, "HandleNotAvailable")
        assert pds.ctx.accounts.get_account(alice.did).handle == "alice.test"

    async def test_handles_are_resolved_where_the_entryway_tells_of_them(
        self, pds: Pds, entryway: Entryway, alice: Account, handle_world: HandleWorld
    ) -> None:
        """Of an account here this server may have missed a change; of all others it knows none."""
        elsewhere = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"
        resolve = "com.atproto.identity.resolveHandle"
        assert (await pds.get(resolve, handle=alice.handle)).status == 400
        handle_world.publish("bob.test", elsewhere)
        assert (await pds.get(resolve, handle="bob.test")).json == {"did": elsewhere}
        well_known = await pds.request(
            "GET", "/.well-known/atproto-did", headers={"Host": alice.handle}
        )
        assert (well_known.status, well_known.body) == (404, b"User not found")

    async def test_a_handle_outside_must_lead_to_the_did(
        self, pds: Pds, entryway: Entryway, alice: Account, handle_world: HandleWorld
    ) -> None:
        body = {"handle": "alice.example.com"}
        reply = await pds.post(self.UPDATE, body, alice.auth)
        assert reply.json["message"] == "External handle did not resolve to DID"
        handle_world.publish("alice.example.com", alice.did)
        assert (await pds.post(self.UPDATE, body, alice.auth)).status == 200
        assert pds.ctx.accounts.get_account(alice.did).handle == "alice.example.com"

    async def test_a_handle_still_names_the_account_s_own_repository(
        self, pds: Pds, entryway: Entryway, alice: Account
    ) -> None:
        reply = await pds.get("com.atproto.repo.describeRepo", repo=alice.handle)
        assert reply.json["did"] == alice.did


def _did(account: Account) -> Did:
    return Did(account.did)
