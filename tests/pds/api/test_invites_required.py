"""Signing up with invite codes."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.pds.api.signups import (
    CREATE,
    NO_ROWS,
    account_rows,
    create,
    make_invite_codes,
    refuse_operation,
    stored_dids,
)
from tests.pds.conftest import Pds
from tests.pds.identities import register_foreign_did


class TestWhereInvitesAreRequired:
    @pytest.fixture
    def pds_environ(self) -> dict[str, str]:
        return {"PDS_INVITE_REQUIRED": "true"}

    async def test_defects_are_reported_in_the_reference_s_order(self, pds: Pds) -> None:
        """Each step mends what the step before complained of."""
        codes = await make_invite_codes(pds, 2)
        assert (await create(pds, inviteCode=codes[0])).status == 200
        body: dict[str, Any] = {
            "plcOp": {},
            "password": "x" * 257,
            "handle": "admin.example.com",
            "did": "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa",
        }
        seen = []
        for mended in (
            {},
            {"plcOp": None},
            {"password": "short"},
            {"inviteCode": codes[0]},
            {"email": "nobody"},
            {"email": "dana@example.com"},
            {"handle": "dana.test"},
            {"inviteCode": codes[1]},
            {"handle": "dora.test"},
            {"email": "dora@example.com"},
        ):
            body |= {"email": None, **body, **mended}
            seen.append((await create(pds, **body)).json["message"])
        assert seen == [
            'Unsupported input: "plcOp"',
            "Password too long. Maximum length is 256 characters.",
            "No invite code provided",
            "Email is required",
            "This email address is not supported, please use a different email.",
            # The domain is not ours, which is no defect of an account that brings its DID.
            "Provided invite code not available",
            "Provided invite code not available",
            "Handle already taken: dana.test",
            "Email already taken: dana@example.com",
            "Missing auth to create account with did: did:plc:aaaaaaaaaaaaaaaaaaaaaaaa",
        ]

    async def test_a_move_that_has_used_its_code_is_resumed(self, pds: Pds) -> None:
        owner = register_foreign_did(pds)
        (code,) = await make_invite_codes(pds, 1)
        auth = owner.auth(pds, CREATE)
        assert (await create(pds, auth, did=owner.did, inviteCode=code)).status == 200
        again = await create(pds, auth, did=owner.did, inviteCode=code)
        assert again.error == (400, "AlreadyExists")

    async def test_no_code_is_refused(self, pds: Pds) -> None:
        for code in (None, ""):
            reply = await create(pds, inviteCode=code)
            assert reply.error == (400, "InvalidInviteCode")
            assert reply.json["message"] == "No invite code provided"

    async def test_a_code_makes_as_many_accounts_as_it_has_uses(self, pds: Pds) -> None:
        (code,) = await make_invite_codes(pds, 1, uses=2)
        replies = [
            await create(pds, inviteCode=code, handle=f"{name}.test", email=f"{name}@example.com")
            for name in ("dana", "dora", "dina")
        ]
        assert [reply.status for reply in replies] == [200, 200, 400]
        assert replies[-1].error == (400, "InvalidInviteCode")
        assert replies[-1].json["message"] == "Provided invite code not available"

    async def test_codes_that_are_unknown_or_disabled_are_refused(self, pds: Pds) -> None:
        (code,) = await make_invite_codes(pds, 1)
        await pds.ctx.accounts.invites.disable([code], [])
        for refused in (code, "localhost-aaaaa-aaaaa"):
            reply = await create(pds, inviteCode=refused)
            assert reply.error == (400, "InvalidInviteCode")
        assert account_rows(pds) == NO_ROWS

    async def test_codes_of_an_account_that_is_taken_down_are_refused(self, pds: Pds) -> None:
        (code,) = await make_invite_codes(pds, 1)
        did = (await create(pds, inviteCode=code)).json["did"]
        (of_dana,) = await make_invite_codes(pds, 1, account=did)
        await pds.ctx.accounts.states.takedown(did)
        reply = await create(pds, inviteCode=of_dana, handle="dora.test", email="dora@example.com")
        assert reply.error == (400, "InvalidInviteCode")

    async def test_concurrent_signups_with_one_code_make_one_account(self, pds: Pds) -> None:
        (code,) = await make_invite_codes(pds, 1)
        replies = await asyncio.gather(
            *(
                create(pds, inviteCode=code, handle=f"{name}.test", email=f"{name}@example.com")
                for name in ("dana", "dora", "dina")
            )
        )
        assert sorted(reply.status for reply in replies) == [200, 400, 400]
        assert {reply.error for reply in replies if reply.status != 200} == {
            (400, "InvalidInviteCode")
        }
        assert account_rows(pds) == dict.fromkeys(NO_ROWS, 1)
        assert len(await stored_dids(pds)) == 1

    async def test_a_failed_signup_leaves_the_code_unused(
        self, pds: Pds, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (code,) = await make_invite_codes(pds, 1)
        with monkeypatch.context() as patch:
            patch.setattr(pds.plc, "append", refuse_operation)
            assert (await create(pds, inviteCode=code)).status == 400
        assert (await create(pds, inviteCode=code)).status == 200


async def test_a_code_that_is_given_without_need_is_checked_and_used(pds: Pds) -> None:
    (code,) = await make_invite_codes(pds, 1)
    assert (await create(pds, inviteCode=code)).status == 200
    reply = await create(pds, inviteCode=code, handle="dora.test", email="dora@example.com")
    assert reply.error == (400, "InvalidInviteCode")
    assert len(await stored_dids(pds)) == 1
