"""com.atproto.admin: who may call what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from repo.keys import K256PrivateKey, PrivateKey
from tests.pds.api.moderation import MODERATION_SERVICE, STATUS, UPDATE, Moderator, repo_ref
from tests.pds.conftest import Account, Pds, Reply, basic_auth
from tests.pds.identities import register_foreign_did

DID = "{did}"
FOR_MODERATORS: dict[str, dict[str, Any]] = {
    "com.atproto.admin.getAccountInfo": {"did": DID},
    "com.atproto.admin.getAccountInfos": {"dids": DID},
    "com.atproto.admin.getInviteCodes": {},
    STATUS: {"did": DID},
    UPDATE: {},
    "com.atproto.admin.disableInviteCodes": {},
    "com.atproto.admin.disableAccountInvites": {"account": DID},
    "com.atproto.admin.enableAccountInvites": {"account": DID},
}
FOR_THE_ADMINISTRATOR: dict[str, dict[str, Any]] = {
    "com.atproto.admin.updateAccountHandle": {"did": DID, "handle": "admin.test"},
    "com.atproto.admin.updateAccountEmail": {"account": DID, "email": "new@example.com"},
    "com.atproto.admin.updateAccountPassword": {"did": DID, "password": "new-password"},
    "com.atproto.admin.deleteAccount": {"did": DID},
}
INPUTS = FOR_MODERATORS | FOR_THE_ADMINISTRATOR
"""What to call each method with; `{did}` stands for the account's DID."""


async def call(
    pds: Pds, nsid: str, account: Account, headers: Mapping[str, str] | None = None
) -> Reply:
    """Call a method about an account, in a way that succeeds for who may."""
    fields = {name: value.format(did=account.did) for name, value in INPUTS[nsid].items()}
    if ".get" in nsid:
        return await pds.request("GET", f"/xrpc/{nsid}", headers=headers, params=fields)
    if nsid == UPDATE:
        fields = {"subject": repo_ref(account)}
    return await pds.post(nsid, fields, headers)


@pytest.mark.parametrize("nsid", INPUTS)
async def test_the_administrator_may_call_everything(pds: Pds, alice: Account, nsid: str) -> None:
    assert (await call(pds, nsid, alice, pds.admin)).status == 200


@pytest.mark.parametrize("nsid", INPUTS)
async def test_others_may_call_nothing(pds: Pds, alice: Account, nsid: str) -> None:
    strangers: tuple[dict[str, str] | None, ...] = (
        None,
        {"Authorization": "Basic nonsense"},
        basic_auth("admin", "wrong"),
        basic_auth("alice.test", "admin-pass"),
    )
    for headers in strangers:
        reply = await call(pds, nsid, alice, headers)
        assert (reply.status, reply.json) == (
            401,
            {"error": "AuthenticationRequired", "message": "Authentication Required"},
        )
    # A session token is not a service token, and there is no moderation service here.
    name = "UntrustedIss" if nsid in FOR_MODERATORS else "AuthenticationRequired"
    assert (await call(pds, nsid, alice, alice.auth)).error == (401, name)
    info = await pds.get("com.atproto.admin.getAccountInfo", pds.admin, did=alice.did)
    assert (info.json["handle"], info.json["email"]) == (alice.handle, alice.email)


class TestWithAModerationService:
    @pytest.fixture
    def pds_environ(self) -> dict[str, str]:
        return MODERATION_SERVICE

    @pytest.fixture
    def moderator(self, pds: Pds) -> Moderator:
        return Moderator.register(pds)

    @pytest.mark.parametrize("nsid", FOR_MODERATORS)
    async def test_it_calls_methods_with_tokens_for_them(
        self, pds: Pds, alice: Account, moderator: Moderator, nsid: str
    ) -> None:
        for as_labeler in (False, True):
            headers = moderator.auth(nsid, as_labeler=as_labeler)
            assert (await call(pds, nsid, alice, headers)).status == 200

    @pytest.mark.parametrize("nsid", FOR_THE_ADMINISTRATOR)
    async def test_it_does_not_do_what_is_the_administrator_s(
        self, pds: Pds, alice: Account, moderator: Moderator, nsid: str
    ) -> None:
        reply = await call(pds, nsid, alice, moderator.auth(nsid))
        assert reply.error == (401, "AuthenticationRequired")

    @pytest.mark.parametrize("nsid", FOR_MODERATORS)
    async def test_tokens_for_something_else_are_refused(
        self, pds: Pds, alice: Account, moderator: Moderator, nsid: str
    ) -> None:
        forger: PrivateKey = K256PrivateKey.generate()
        for headers, error in (
            (moderator.auth("com.atproto.admin.sendEmail"), "BadJwtLexiconMethod"),
            (moderator.auth(None), "BadJwtLexiconMethod"),
            (moderator.auth(nsid, aud="did:web:other.example.com"), "BadJwtAudience"),
            (moderator.auth(nsid, expires_in_s=-5), "JwtExpired"),
            (moderator.auth(nsid, key=forger), "BadJwtSignature"),
            (moderator.auth(nsid, as_labeler=True, key=forger), "BadJwtSignature"),
            ({"Authorization": "Bearer nonsense"}, "BadJwt"),
            (alice.auth, "BadJwt"),
        ):
            assert (await call(pds, nsid, alice, headers)).error == (401, error)

    async def test_no_other_service_does(
        self, pds: Pds, alice: Account, moderator: Moderator
    ) -> None:
        other = register_foreign_did(pds)
        reply = await call(pds, STATUS, alice, other.auth(pds, STATUS))
        assert reply.json == {"error": "UntrustedIss", "message": "Untrusted issuer"}
        assert (await call(pds, STATUS, alice, moderator.auth(STATUS))).status == 200
        assert (await call(pds, STATUS, alice, pds.admin)).status == 200
