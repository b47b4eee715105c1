"""com.atproto.server.createAccount: what a new account is, and what is refused in which order."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping
from typing import Any

import pytest

from database.errors import DatabaseFull
from identity.plc_data import InvalidPlcOperation
from identity.plc_operation import PlcOperation
from repo.car import CarReader
from repo.commit import decode_commit
from repo.keys import K256PrivateKey
from repo.syntax import Did
from sequencer.events import Event
from tests.pds.api.conftest import HandleWorld
from tests.pds.conftest import Account, Pds, Reply
from tests.pds.events import kinds_of, read_events
from tests.pds.identities import plc_data_for, register_foreign_did

CREATE = "com.atproto.server.createAccount"
SOMEBODY: dict[str, Any] = {
    "handle": "dana.test",
    "email": "Dana@Example.com",
    "password": "dana-password",
}


async def create(pds: Pds, headers: Mapping[str, str] | None = None, **changes: Any) -> Reply:
    """Ask for the account of `SOMEBODY`; a change to None leaves a field out."""
    body = {key: value for key, value in {**SOMEBODY, **changes}.items() if value is not None}
    return await pds.post(CREATE, body, headers)


async def stored_dids(pds: Pds) -> list[str]:
    """The DIDs that have an actor store."""
    return await asyncio.to_thread(lambda: sorted(pds.ctx.actor_store.iter_dids()))


def account_rows(pds: Pds) -> dict[str, int]:
    """How many rows each table has that a signup writes to."""
    tables = ("actor", "account", "refresh_token", "repo_root", "invite_code_use")
    return {table: pds.ctx.accounts.db.value(f"SELECT count(*) FROM {table}") for table in tables}


NO_ROWS = {"actor": 0, "account": 0, "refresh_token": 0, "repo_root": 0, "invite_code_use": 0}


# --- A new account


async def test_a_new_account_gets_a_did_and_a_session(pds: Pds) -> None:
    reply = await create(pds, handle="DANA.test")
    assert reply.status == 200
    assert set(reply.json) == {"handle", "did", "didDoc", "accessJwt", "refreshJwt"}
    assert reply.json["handle"] == "dana.test"
    session = await pds.get(
        "com.atproto.server.getSession", {"Authorization": f"Bearer {reply.json['accessJwt']}"}
    )
    assert session.json == {
        "did": reply.json["did"],
        "handle": "dana.test",
        "email": "dana@example.com",
        "emailConfirmed": False,
        "active": True,
    }


async def test_the_did_of_a_new_account_leads_here(pds: Pds) -> None:
    did = (await create(pds)).json["did"]
    operation = pds.plc.find_last(did)
    assert operation is not None
    assert operation.data is not None
    assert operation.data.to_json() == {
        "rotationKeys": [pds.ctx.rotation_key.did_key],
        "verificationMethods": {"atproto": pds.ctx.actor_store.key(did).did_key},
        "alsoKnownAs": ["at://dana.test"],
        "services": {
            "atproto_pds": {
                "type": "AtprotoPersonalDataServer",
                "endpoint": pds.ctx.settings.public_url,
            }
        },
    }


async def test_the_did_document_comes_with_a_new_account(pds: Pds) -> None:
    reply = await create(pds)
    assert reply.json["didDoc"]["id"] == reply.json["did"]
    assert reply.json["didDoc"]["alsoKnownAs"] == ["at://dana.test"]


async def test_a_recovery_key_is_the_strongest_rotation_key(pds: Pds) -> None:
    recovery_key = K256PrivateKey.generate().did_key
    did = (await create(pds, recoveryKey=recovery_key)).json["did"]
    assert (await pds.ctx.plc.data(did)).rotation_keys == (
        recovery_key,
        pds.ctx.rotation_key.did_key,
    )


class TestWithARecoveryKeyOfTheOperator:
    KEY = K256PrivateKey.from_bytes(b"\x07" * 32).did_key

    @pytest.fixture
    def pds_environ(self) -> dict[str, str]:
        return {"PDS_RECOVERY_DID_KEY": self.KEY}

    async def test_it_stands_before_the_server_s_own(self, pds: Pds) -> None:
        did = (await create(pds)).json["did"]
        keys = (await pds.ctx.plc.data(did)).rotation_keys
        assert keys == (self.KEY, pds.ctx.rotation_key.did_key)


async def test_the_events_of_a_new_account_tell_identity_account_commit_and_sync(pds: Pds) -> None:
    did = (await create(pds)).json["did"]
    events = read_events(pds)
    assert kinds_of(events) == ["identity", "account", "append", "sync"]
    identity, account, commit, sync = (event.body for event in events)
    assert identity == {"did": did, "handle": "dana.test"}
    assert account == {"did": did, "active": True}
    assert commit["repo"] == sync["did"] == did
    assert commit["ops"] == []
    assert commit["since"] is None
    assert "prevData" not in commit
    latest = (await pds.get("com.atproto.sync.getLatestCommit", did=did)).json
    assert {"cid": str(commit["commit"]), "rev": commit["rev"]} == latest
    assert sync["rev"] == latest["rev"]


async def test_the_first_commit_is_signed_with_the_key_in_the_did_document(
    pds: Pds, alice: Account
) -> None:
    sync = read_events(pds)[-1].body
    ((_, block),) = CarReader(io.BytesIO(sync["blocks"]))
    commit = decode_commit(block)
    assert commit.did == alice.did
    assert commit.verify(pds.ctx.actor_store.key(alice.did).public)


async def test_a_new_repository_is_listed_and_empty(pds: Pds) -> None:
    did = (await create(pds)).json["did"]
    (listed,) = (await pds.get("com.atproto.sync.listRepos")).json["repos"]
    assert (listed["did"], listed["active"]) == (did, True)
    described = (await pds.get("com.atproto.repo.describeRepo", repo="dana.test")).json
    assert described["collections"] == []
    assert described["handleIsCorrect"] is True


async def test_an_account_without_a_password_cannot_log_in(pds: Pds) -> None:
    reply = await create(pds, password=None)
    assert reply.status == 200
    login = await pds.post(
        "com.atproto.server.createSession", {"identifier": "dana.test", "password": ""}
    )
    assert login.error == (401, "AuthenticationRequired")


async def test_an_authorization_that_is_no_service_token_is_refused(pds: Pds) -> None:
    reply = await create(pds, pds.admin)
    assert reply.error == (401, "AuthenticationRequired")
    assert reply.json["message"] == "Invalid authorization header"
    assert await stored_dids(pds) == []


# --- What is refused


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"plcOp": {}}, "InvalidRequest", 'Unsupported input: "plcOp"'),
        (
            {"password": "x" * 257},
            "InvalidRequest",
            "Password too long. Maximum length is 256 characters.",
        ),
        ({"email": None}, "InvalidRequest", "Email is required"),
        ({"email": ""}, "InvalidRequest", "Email is required"),
        *(
            (
                {"email": email},
                "InvalidRequest",
                "This email address is not supported, please use a different email.",
            )
            for email in ("nobody", "a@b", "a b@example.com", "a@example.com\r\nBcc: x@x.com")
        ),
        ({"handle": None}, "InvalidRequest", 'Missing required key "handle" at $'),
        ({"handle": "x"}, "InvalidRequest", 'Invalid handle (got "x") at $.handle'),
        (
            {"handle": "a_b.test"},
            "InvalidRequest",
            'Invalid handle (got "a_b.test") at $.handle',
        ),
        ({"handle": "dana.onion"}, "InvalidHandle", "Handle TLD is invalid or disallowed"),
        ({"handle": "da.test"}, "InvalidHandle", "Handle too short"),
        ({"handle": f"{'d' * 19}.test"}, "InvalidHandle", "Handle too long"),
        ({"handle": "da.na.test"}, "InvalidHandle", "Invalid characters in handle"),
        ({"handle": "dana.example.com"}, "UnsupportedDomain", "Not a supported handle domain"),
        ({"handle": "admin.test"}, "HandleNotAvailable", "Reserved handle"),
        ({"handle": "ALICE.test"}, "InvalidRequest", "Handle already taken: alice.test"),
        (
            {"email": "ALICE@example.com"},
            "InvalidRequest",
            "Email already taken: ALICE@example.com",
        ),
        ({"did": "nope"}, "InvalidRequest", 'Invalid DID (got "nope") at $.did'),
    ],
)
@pytest.mark.usefixtures("alice")
async def test_what_is_wrong_with_a_request_is_named(
    pds: Pds, changes: dict[str, Any], error: str, message: str
) -> None:
    reply = await create(pds, **changes)
    assert (reply.status, reply.json) == (400, {"error": error, "message": message})


class TestWhereInvitesAreRequired:
    @pytest.fixture
    def pds_environ(self) -> dict[str, str]:
        return {"PDS_INVITE_REQUIRED": "true"}

    async def test_defects_are_reported_in_the_reference_s_order(self, pds: Pds) -> None:
        """Each step mends what the step before complained of."""
        codes = await _invite_codes(pds, 2)
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

    async def test_no_code_is_refused(self, pds: Pds) -> None:
        for code in (None, ""):
            reply = await create(pds, inviteCode=code)
            assert reply.error == (400, "InvalidInviteCode")
            assert reply.json["message"] == "No invite code provided"

    async def test_a_code_makes_as_many_accounts_as_it_has_uses(self, pds: Pds) -> None:
        (code,) = await _invite_codes(pds, 1, uses=2)
        replies = [
            await create(pds, inviteCode=code, handle=f"{name}.test", email=f"{name}@example.com")
            for name in ("dana", "dora", "dina")
        ]
        assert [reply.status for reply in replies] == [200, 200, 400]
        assert replies[-1].error == (400, "InvalidInviteCode")
        assert replies[-1].json["message"] == "Provided invite code not available"

    async def test_codes_that_are_unknown_or_disabled_are_refused(self, pds: Pds) -> None:
        (code,) = await _invite_codes(pds, 1)
        await pds.ctx.accounts.disable_invite_codes([code], [])
        for refused in (code, "localhost-aaaaa-aaaaa"):
            reply = await create(pds, inviteCode=refused)
            assert reply.error == (400, "InvalidInviteCode")
        assert account_rows(pds) == NO_ROWS

    async def test_codes_of_an_account_that_is_taken_down_are_refused(self, pds: Pds) -> None:
        (code,) = await _invite_codes(pds, 1)
        did = (await create(pds, inviteCode=code)).json["did"]
        (of_dana,) = await _invite_codes(pds, 1, account=did)
        await pds.ctx.accounts.takedown(did)
        reply = await create(pds, inviteCode=of_dana, handle="dora.test", email="dora@example.com")
        assert reply.error == (400, "InvalidInviteCode")

    async def test_concurrent_signups_with_one_code_make_one_account(self, pds: Pds) -> None:
        (code,) = await _invite_codes(pds, 1)
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
        (code,) = await _invite_codes(pds, 1)
        with monkeypatch.context() as patch:
            patch.setattr(pds.plc, "append", _refuse_operation)
            assert (await create(pds, inviteCode=code)).status == 400
        assert (await create(pds, inviteCode=code)).status == 200


async def test_a_code_that_is_given_without_need_is_checked_and_used(pds: Pds) -> None:
    (code,) = await _invite_codes(pds, 1)
    assert (await create(pds, inviteCode=code)).status == 200
    reply = await create(pds, inviteCode=code, handle="dora.test", email="dora@example.com")
    assert reply.error == (400, "InvalidInviteCode")
    assert len(await stored_dids(pds)) == 1


@pytest.mark.parametrize("state", ["deactivated", "takendown"])
async def test_the_handle_and_address_of_an_inactive_account_stay_taken(
    pds: Pds, alice: Account, state: str
) -> None:
    if state == "deactivated":
        await pds.ctx.accounts.deactivate(Did(alice.did))
    else:
        await pds.ctx.accounts.takedown(Did(alice.did))
    operations = len(pds.plc.export_after_seq(0, 100))
    for field, value in (("handle", alice.handle), ("email", alice.email)):
        reply = await create(pds, None, **{field: value})
        assert reply.error == (400, "InvalidRequest")
        assert "already taken" in reply.json["message"]
    assert len(pds.plc.export_after_seq(0, 100)) == operations


# --- An account that brings its DID


async def test_an_existing_did_moves_in_deactivated_and_unannounced(pds: Pds) -> None:
    owner = register_foreign_did(pds)
    reply = await create(pds, owner.auth(pds, CREATE), did=owner.did)
    assert reply.status == 200
    assert reply.json["did"] == owner.did
    assert reply.json["didDoc"]["alsoKnownAs"] == ["at://carol.example.com"]
    assert read_events(pds) == []
    assert len(pds.plc.log(owner.did)) == 1
    account = pds.ctx.accounts.get_account(owner.did, include_inactive=True)
    assert account.deactivated_at is not None
    assert account.delete_after is not None
    session = await pds.get(
        "com.atproto.server.getSession", {"Authorization": f"Bearer {reply.json['accessJwt']}"}
    )
    assert (session.json["active"], session.json["status"]) == (False, "deactivated")


async def test_an_existing_did_is_announced_when_it_is_activated(pds: Pds) -> None:
    owner = register_foreign_did(pds)
    reply = await create(pds, owner.auth(pds, CREATE), did=owner.did)
    auth = {"Authorization": f"Bearer {reply.json['accessJwt']}"}
    data = plc_data_for(pds, owner.did, handle="dana.test", owner_key=owner.key)
    owner.update(pds, data)
    activated = await pds.post("com.atproto.server.activateAccount", headers=auth)
    assert activated.status == 200
    events = read_events(pds)
    assert kinds_of(events) == ["account", "identity", "sync"]
    assert events[0].body == {"did": owner.did, "active": True}
    assert events[1].body == {"did": owner.did, "handle": "dana.test"}


async def test_an_existing_did_may_keep_its_own_domain_as_handle(
    pds: Pds, handle_world: HandleWorld
) -> None:
    owner = register_foreign_did(pds)
    auth = owner.auth(pds, CREATE)
    reply = await create(pds, auth, did=owner.did, handle="carol.example.com")
    assert reply.error == (400, "InvalidRequest")
    assert reply.json["message"] == "External handle did not resolve to DID"
    handle_world.publish("carol.example.com", owner.did)
    reply = await create(pds, auth, did=owner.did, handle="carol.example.com")
    assert (reply.status, reply.json["handle"]) == (200, "carol.example.com")


async def test_nobody_makes_the_server_look_up_handles_without_proving_a_did(
    pds: Pds, handle_world: HandleWorld
) -> None:
    owner = register_foreign_did(pds)
    reply = await create(pds, did=owner.did, handle="carol.example.com")
    assert reply.error == (401, "AuthenticationRequired")
    assert handle_world.dns.queries == []


async def test_a_token_of_somebody_else_does_not_move_a_did(pds: Pds) -> None:
    owner, other = register_foreign_did(pds), register_foreign_did(pds)
    for headers in (None, other.auth(pds, CREATE)):
        reply = await create(pds, headers, did=owner.did)
        assert reply.error == (401, "AuthenticationRequired")
        assert reply.json["message"] == f"Missing auth to create account with did: {owner.did}"
    assert await stored_dids(pds) == []


async def test_a_did_moves_in_once(pds: Pds) -> None:
    owner = register_foreign_did(pds)
    auth = owner.auth(pds, CREATE)
    assert (await create(pds, auth, did=owner.did)).status == 200
    again = await create(pds, auth, did=owner.did, handle="dora.test", email="dora@example.com")
    assert again.error == (400, "AlreadyExists")
    assert await stored_dids(pds) == [owner.did]
    assert (await pds.get("com.atproto.sync.getRepoStatus", did=owner.did)).status == 200


async def test_concurrent_moves_of_one_did_make_one_account(pds: Pds) -> None:
    owner = register_foreign_did(pds)
    auth = owner.auth(pds, CREATE)
    replies = await asyncio.gather(
        *(
            create(pds, auth, did=owner.did, handle=f"{name}.test", email=f"{name}@example.com")
            for name in ("dana", "dora", "dina")
        )
    )
    assert sorted(reply.status for reply in replies) == [200, 400, 400]
    (winner,) = (reply for reply in replies if reply.status == 200)
    assert await stored_dids(pds) == [owner.did]
    latest = await pds.get(
        "com.atproto.sync.getLatestCommit",
        {"Authorization": f"Bearer {winner.json['accessJwt']}"},
        did=owner.did,
    )
    assert latest.status == 200


# --- Failures on the way


def _refuse_operation(*_: object) -> None:
    raise InvalidPlcOperation("the directory does not like it")


def _break_down(*_: object) -> None:
    raise RuntimeError("the directory broke down")


async def _expect_nothing_left(pds: Pds) -> None:
    assert await stored_dids(pds) == []
    assert account_rows(pds) == NO_ROWS
    assert read_events(pds) == []
    assert (await pds.get("com.atproto.sync.listRepos")).json["repos"] == []


async def test_a_refusal_of_the_directory_leaves_nothing(
    pds: Pds, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(pds.plc, "append", _refuse_operation)
        reply = await create(pds)
    assert reply.error == (400, "InvalidRequest")
    assert reply.json["message"] == "the directory does not like it"
    await _expect_nothing_left(pds)
    assert (await create(pds)).status == 200


async def test_a_directory_that_is_away_leaves_nothing(pds: Pds) -> None:
    url, pds.ctx.plc.url = pds.ctx.plc.url, "http://127.0.0.1:1"
    reply = await create(pds)
    assert reply.error == (502, "UpstreamFailure")
    await _expect_nothing_left(pds)
    pds.ctx.plc.url = url
    assert (await create(pds)).status == 200


async def test_a_did_is_withdrawn_when_the_directory_s_answer_is_lost(
    pds: Pds, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = pds.plc.append

    def accept_and_break_down(did: Did, operation: PlcOperation) -> None:
        append(did, operation)
        monkeypatch.setattr(pds.plc, "append", append)
        raise RuntimeError("the directory broke down")

    monkeypatch.setattr(pds.plc, "append", accept_and_break_down)
    assert (await create(pds)).error == (502, "UpstreamFailure")
    await _expect_nothing_left(pds)
    assert [stored.entry.operation.is_tombstone for stored in pds.plc.export_after_seq(0, 9)] == [
        False,
        True,
    ]


async def test_a_failure_of_the_service_database_withdraws_the_did(
    pds: Pds, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise DatabaseFull("/secret/account.sqlite", "disk full")

    with monkeypatch.context() as patch:
        patch.setattr(pds.ctx.accounts, "create_account", fail)
        reply = await create(pds)
    assert reply.error == (503, "NotEnoughResources")
    assert "secret" not in reply.json["message"]
    await _expect_nothing_left(pds)
    assert [stored.entry.operation.is_tombstone for stored in pds.plc.export_after_seq(0, 9)] == [
        False,
        True,
    ]
    assert (await create(pds)).status == 200


async def test_the_undo_goes_on_when_the_did_cannot_be_withdrawn(
    pds: Pds, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        monkeypatch.setattr(pds.plc, "append", _refuse_operation)
        raise DatabaseFull("account.sqlite", "disk full")

    monkeypatch.setattr(pds.ctx.accounts, "create_account", fail)
    assert (await create(pds)).status == 503
    await _expect_nothing_left(pds)


async def test_a_moved_did_is_never_withdrawn(pds: Pds, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise DatabaseFull("account.sqlite", "disk full")

    owner = register_foreign_did(pds)
    monkeypatch.setattr(pds.ctx.accounts, "create_account", fail)
    assert (await create(pds, owner.auth(pds, CREATE), did=owner.did)).status == 503
    await _expect_nothing_left(pds)
    assert len(pds.plc.log(owner.did)) == 1


@pytest.mark.parametrize("recovery_key", ["nope", "did:key:zNope", "did:key:z" + "x" * 8_000])
async def test_a_recovery_key_that_is_none_is_the_client_s_mistake(
    pds: Pds, recovery_key: str
) -> None:
    reply = await create(pds, recoveryKey=recovery_key)
    assert reply.error == (400, "InvalidRequest")
    await _expect_nothing_left(pds)


async def test_concurrent_signups_for_one_handle_make_one_account(pds: Pds) -> None:
    replies = await asyncio.gather(
        *(create(pds, email=f"dana{number}@example.com") for number in range(5))
    )
    assert sorted(reply.status for reply in replies) == [200, 400, 400, 400, 400]
    (winner,) = (reply for reply in replies if reply.status == 200)
    losers = [reply.json for reply in replies if reply.status == 400]
    taken = {"error": "InvalidRequest", "message": "Handle already taken: dana.test"}
    assert losers == [taken] * 4
    assert await stored_dids(pds) == [winner.json["did"]]
    assert account_rows(pds) == {**dict.fromkeys(NO_ROWS, 1), "invite_code_use": 0}
    assert {event.did for event in read_events(pds)} == {winner.json["did"]}
    resolved = await pds.get("com.atproto.identity.resolveHandle", handle="dana.test")
    assert resolved.json == {"did": winner.json["did"]}
    for made in {stored.entry.did for stored in pds.plc.export_after_seq(0, 99)}:
        last = pds.plc.find_last(made)
        assert last is not None
        assert last.is_tombstone == (made != winner.json["did"])


async def test_an_account_whose_events_fail_exists_all_the_same(
    pds: Pds, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Event) -> asyncio.Future[list[int]]:
        failed: asyncio.Future[list[int]] = asyncio.get_running_loop().create_future()
        failed.set_exception(DatabaseFull("sequencer.sqlite", "disk full"))
        return failed

    with monkeypatch.context() as patch:
        patch.setattr(pds.ctx.sequencer, "append", fail)
        assert (await create(pds)).status == 503
    login = await pds.post(
        "com.atproto.server.createSession",
        {"identifier": "dana.test", "password": SOMEBODY["password"]},
    )
    assert login.status == 200


async def test_the_did_document_is_left_out_when_it_cannot_be_had(
    pds: Pds, monkeypatch: pytest.MonkeyPatch
) -> None:
    find_last = pds.plc.find_last
    monkeypatch.setattr(pds.plc, "find_last", _break_down)
    reply = await create(pds)
    assert reply.status == 200
    assert "didDoc" not in reply.json
    assert find_last(reply.json["did"]) is not None


async def _invite_codes(
    pds: Pds, count: int, *, uses: int = 1, account: str = "admin"
) -> list[str]:
    codes = await pds.ctx.accounts.create_invite_codes([account], count=count, uses=uses)
    return codes[account]
