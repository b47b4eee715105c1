"""com.atproto.server.createAccount: what a new account is, and what is refused in which order."""

from __future__ import annotations

import asyncio
import io
from typing import Any

import pytest

from database.errors import DatabaseFull
from identity.plc_operation import PlcOperation
from repo.car import CarReader
from repo.commit import decode_commit
from repo.keys import K256PrivateKey
from repo.syntax import Did
from sequencer.events import Event
from tests.pds.api.signups import (
    NO_ROWS,
    SOMEBODY,
    account_rows,
    create,
    expect_nothing_left,
    refuse_operation,
    stored_dids,
)
from tests.pds.conftest import Account, Pds
from tests.pds.events import kinds_of, read_events

# --- A new account


@pytest.mark.parametrize(
    "pds_environ",
    [
        {"PDS_HOSTNAME": "PDS.Example.COM."},
        {"PDS_HOSTNAME": "x.org", "PDS_SERVICE_HANDLE_DOMAINS": ".PDS.Example.com."},
    ],
)
async def test_accounts_are_made_whatever_the_case_of_host_names_in_settings(pds: Pds) -> None:
    reply = await create(pds, handle="dana.pds.example.com")
    assert reply.status == 200, reply.body
    assert reply.json["handle"] == "dana.pds.example.com"


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


@pytest.mark.parametrize("state", ["deactivated", "takendown"])
async def test_the_handle_and_address_of_an_inactive_account_stay_taken(
    pds: Pds, alice: Account, state: str
) -> None:
    if state == "deactivated":
        await pds.ctx.accounts.states.deactivate(Did(alice.did))
    else:
        await pds.ctx.accounts.states.takedown(Did(alice.did))
    operations = len(pds.plc.export_after_seq(0, 100))
    for field, value in (("handle", alice.handle), ("email", alice.email)):
        reply = await create(pds, None, **{field: value})
        assert reply.error == (400, "InvalidRequest")
        assert "already taken" in reply.json["message"]
    assert len(pds.plc.export_after_seq(0, 100)) == operations


# --- Failures on the way


def _break_down(*_: object) -> None:
    raise RuntimeError("the directory broke down")


async def test_a_refusal_of_the_directory_leaves_nothing(
    pds: Pds, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(pds.plc, "append", refuse_operation)
        reply = await create(pds)
    assert reply.error == (400, "InvalidRequest")
    assert reply.json["message"] == "the directory does not like it"
    await expect_nothing_left(pds)
    assert (await create(pds)).status == 200


async def test_a_directory_that_is_away_leaves_nothing(pds: Pds) -> None:
    url, pds.ctx.plc.url = pds.ctx.plc.url, "http://127.0.0.1:1"
    reply = await create(pds)
    assert reply.error == (502, "UpstreamFailure")
    await expect_nothing_left(pds)
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
    await expect_nothing_left(pds)
    assert [stored.entry.operation.type for stored in pds.plc.export_after_seq(0, 9)] == [
        "plc_operation",
        "plc_tombstone",
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
    await expect_nothing_left(pds)
    assert [stored.entry.operation.type for stored in pds.plc.export_after_seq(0, 9)] == [
        "plc_operation",
        "plc_tombstone",
    ]
    assert (await create(pds)).status == 200


async def test_the_undo_goes_on_when_the_did_cannot_be_withdrawn(
    pds: Pds, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        monkeypatch.setattr(pds.plc, "append", refuse_operation)
        raise DatabaseFull("account.sqlite", "disk full")

    monkeypatch.setattr(pds.ctx.accounts, "create_account", fail)
    assert (await create(pds)).status == 503
    await expect_nothing_left(pds)


@pytest.mark.parametrize("recovery_key", ["nope", "did:key:zNope", "did:key:z" + "x" * 8_000])
async def test_a_recovery_key_that_is_none_is_the_client_s_mistake(
    pds: Pds, recovery_key: str
) -> None:
    reply = await create(pds, recoveryKey=recovery_key)
    assert reply.error == (400, "InvalidRequest")
    await expect_nothing_left(pds)


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
        assert (last.type == "plc_tombstone") == (made != winner.json["did"])


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
