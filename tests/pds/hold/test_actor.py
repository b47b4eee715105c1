"""The hold's actor: what the first start makes, and what later starts change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from actor_store.reader import ActorStoreReader
from actor_store.writes import PreparedWrite
from database.errors import DatabaseFull
from database.wal import files_of
from pds.accounts.account import AccountStatus
from pds.config import ConfigError
from pds.context import AppContext
from pds.hold.actor import write_records
from pds.hold.hold import HOLD
from pds.hold.records import CAPTAIN, CREW, PROFILE, SELF, crew_rkey
from pds.lifecycle.account_import import AccountImport, import_account
from pds.repos.commits import commit
from pds.repos.errors import ImportRefused
from pds.repos.records import prepare_write
from repo.keys import K256PrivateKey, parse_did_key
from repo.syntax import Did
from tests.pds.api.exports import verify_export
from tests.pds.api.imports import Repo
from tests.pds.conftest import Pds
from tests.pds.hold.conftest import CAPTAIN_ELSEWHERE, HOLD_DID, OWNER, record, started

DID = Did(HOLD_DID)
OTHER = "did:plc:otheraaaaaaaaaaaaaaaaaaa"
SETTINGS = {
    "PDS_HOLD_PUBLIC": "true",
    "PDS_HOLD_ALLOW_ALL_CREW": "true",
    "PDS_HOLD_BLUESKY_POSTS": "true",
    "PDS_HOLD_REGION": "eu-north-1",
    "PDS_HOLD_SUCCESSOR": OTHER,
}


async def write(ctx: AppContext, action: Any, collection: str, rkey: str, value: Any) -> None:
    """Change a record as an operator's tools do, past the hold."""

    def plan(_actor: ActorStoreReader) -> list[PreparedWrite]:
        if action == "delete":
            return [PreparedWrite("delete", collection, rkey)]
        return [prepare_write(ctx.lexicons, action, collection, rkey, value, validate=False)]

    await commit(ctx, DID, plan)


async def head_of(pds: Pds) -> Any:
    return (await pds.get("com.atproto.sync.getLatestCommit", did=HOLD_DID)).json


async def test_the_first_start_makes_account_and_records(tmp_path: Path) -> None:
    async with started(tmp_path, **SETTINGS) as pds:
        captain = await record(pds, CAPTAIN)
        assert captain.pop("deployedAt").endswith("Z")
        assert captain == {
            "$type": CAPTAIN,
            "owner": OWNER,
            "public": True,
            "allowAllCrew": True,
            "enableBlueskyPosts": True,
            "region": "eu-north-1",
            "successor": OTHER,
        }
        member = await record(pds, CREW, crew_rkey(OWNER))
        assert (member["member"], member["role"]) == (OWNER, "owner")
        assert member["permissions"] == ["blob:read", "blob:write", "crew:admin"]
        assert (await record(pds, PROFILE))["displayName"] == "localhost:2583"
        account = pds.ctx.accounts.get_account(HOLD_DID)
        assert (account.handle, account.email, account.active) == (None, None, True)
        events = [each.event_type for each in pds.ctx.sequencer.log.read_after(0, limit=10)]
        assert events == ["identity", "account", "append", "sync", "append"]


async def test_a_second_start_changes_nothing(tmp_path: Path) -> None:
    async with started(tmp_path) as pds:
        head, events = await head_of(pds), pds.ctx.sequencer.log.read_after(0, limit=10)
    async with started(tmp_path) as pds:
        assert await head_of(pds) == head
        assert pds.ctx.sequencer.log.read_after(0, limit=10) == events


async def test_the_captain_record_follows_the_settings_and_keeps_the_rest(tmp_path: Path) -> None:
    async with started(tmp_path) as pds:
        first = await record(pds, CAPTAIN)
        link = {"$link": "bafyreihffx5a2e7k5uwrmmgofbvzujc5cmw5h4espouwuxt3liqoflx3ee"}
        added = {"provider": "fly.io", "badge": link, "region": "us-east-1", "successor": OTHER}
        await write(pds.ctx, "update", CAPTAIN, SELF, {**first, **added})
    async with started(tmp_path, PDS_HOLD_PUBLIC="true") as pds:
        # Without a setting the region stays, but a hold without one has no successor.
        del added["successor"]
        assert await record(pds, CAPTAIN) == {**first, **added, "public": True}


async def test_an_owner_that_contradicts_the_record_ends_the_start(tmp_path: Path) -> None:
    async with started(tmp_path) as pds:
        head = await head_of(pds)
    with pytest.raises(ConfigError, match=rf"is {OTHER}, but .* set PDS_HOLD_OWNER={OWNER}"):
        async with started(tmp_path, PDS_HOLD_OWNER=OTHER):
            raise AssertionError("it started")
    async with started(tmp_path, PDS_HOLD_OWNER="") as pds:
        assert await head_of(pds) == head


async def test_a_new_hold_needs_an_owner(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="PDS_HOLD_OWNER is missing"):
        async with started(tmp_path, PDS_HOLD_OWNER=""):
            raise AssertionError("it started")
    async with started(tmp_path, PDS_HOLD_ENABLED="false") as pds:
        assert pds.ctx.accounts.store.count() == 0
        assert HOLD not in pds.app


@pytest.mark.parametrize(
    "damage",
    [
        lambda ctx, _: write(ctx, "delete", CAPTAIN, SELF, None),
        lambda ctx, _: write(ctx, "update", CAPTAIN, SELF, {"owner": "somebody"}),
        lambda ctx, value: write(ctx, "update", CAPTAIN, SELF, {**value, "owner": 7}),
    ],
    ids=["deleted", "no DID", "of another type"],
)
async def test_a_captain_record_without_an_owner_is_mended(
    tmp_path: Path, damage: Callable[[AppContext, Any], Any]
) -> None:
    async with started(tmp_path) as pds:
        before = await record(pds, CAPTAIN)
        await damage(pds.ctx, before)
        await write(pds.ctx, "delete", CREW, crew_rkey(OWNER), None)
    with pytest.raises(ConfigError, match="PDS_HOLD_OWNER is missing"):
        async with started(tmp_path, PDS_HOLD_OWNER=""):
            raise AssertionError("it started")
    async with started(tmp_path) as pds:
        assert {**await record(pds, CAPTAIN), "deployedAt": ""} == {**before, "deployedAt": ""}
        assert (await record(pds, CREW, crew_rkey(OWNER)))["member"] == OWNER


@pytest.mark.parametrize("owner", [OWNER, ""], ids=["set", "unset"])
async def test_an_owner_who_is_crew_under_another_key_gets_no_second_record(
    tmp_path: Path, owner: str
) -> None:
    async with started(tmp_path) as pds:
        value = await record(pds, CREW, crew_rkey(OWNER))
        await write(pds.ctx, "delete", CREW, crew_rkey(OWNER), None)
        await write(pds.ctx, "create", CREW, "captain", value)
    async with started(tmp_path, PDS_HOLD_OWNER=owner) as pds:
        reply = await pds.get("com.atproto.repo.listRecords", repo=HOLD_DID, collection=CREW)
        assert [each["uri"].rpartition("/")[2] for each in reply.json["records"]] == ["captain"]


async def test_a_store_without_an_account_is_taken_as_it_is(tmp_path: Path) -> None:
    async with started(tmp_path) as pds:
        head = await head_of(pds)
        await pds.ctx.accounts.delete_account(DID)
    async with started(tmp_path) as pds:
        assert await head_of(pds) == head
        assert pds.ctx.accounts.get_account(HOLD_DID).active


async def test_the_repository_of_another_hold_is_imported_before_the_first_start(
    tmp_path: Path,
) -> None:
    member = {"$type": CREW, "member": OTHER, "role": "member", "permissions": ["blob:read"]}
    repo = Repo.of(
        DID,
        K256PrivateKey.generate(),
        {f"{CAPTAIN}/self": CAPTAIN_ELSEWHERE, f"{CREW}/3aaaaaaaaaa2a": member},
    )

    async def chunks() -> Any:
        yield repo.car()

    async with started(tmp_path, PDS_HOLD_ENABLED="false") as pds:
        settings = pds.ctx.settings
        enabled = settings.hold.model_copy(update={"enabled": True})
        pds.ctx.settings = settings.model_copy(update={"hold": enabled})
        done = await import_account(pds.ctx, chunks(), AccountImport(ignores_signature=True))
        assert (done.account.status, done.password) == (AccountStatus.DEACTIVATED, None)
    async with started(tmp_path) as pds:
        assert await record(pds, CAPTAIN) == CAPTAIN_ELSEWHERE
        assert await record(pds, CREW, "3aaaaaaaaaa2a") == member
        assert (await record(pds, CREW, crew_rkey(OWNER)))["role"] == "owner"
        # The profile is the hold's own affair once there is a captain.
        absent = await pds.get(
            "com.atproto.repo.getRecord", repo=HOLD_DID, collection=PROFILE, rkey=SELF
        )
        assert absent.error == (400, "RecordNotFound")
        # Its commit is signed anew, since the original's key is not here.
        export = await pds.get("com.atproto.sync.getRepo", did=HOLD_DID)
        key = pds.ctx.actor_store.key(HOLD_DID).public
        assert len(verify_export(export.body, HOLD_DID, key).records) == 3


async def test_a_hold_that_has_been_made_gets_no_other_repository(tmp_path: Path) -> None:
    async def chunks() -> Any:
        yield Repo.of(DID, K256PrivateKey.generate(), {}).car()

    async with started(tmp_path) as pds:
        head = await head_of(pds)
        with pytest.raises(ImportRefused, match="set PDS_HOLD_ENABLED=false"):
            await import_account(pds.ctx, chunks(), AccountImport(ignores_signature=True))
        assert await head_of(pds) == head


async def test_an_account_with_a_login_loses_it(tmp_path: Path) -> None:
    async with started(tmp_path) as pds:
        hashed = await pds.ctx.accounts.passwords.hash_new(DID, "a password")
        pds.ctx.accounts.store.add_login(DID, email="a@example.com", password_hash=hashed)
        login = {"identifier": "a@example.com", "password": "a password"}
        assert (await pds.post("com.atproto.server.createSession", login)).status == 200
    async with started(tmp_path) as pds:
        reply = await pds.post("com.atproto.server.createSession", login)
        assert reply.error == (401, "AuthenticationRequired")


async def test_the_account_stays_while_the_server_is_a_hold(tmp_path: Path) -> None:
    async with started(tmp_path) as pds:
        for reply in (
            await pds.post("com.atproto.admin.deleteAccount", {"did": HOLD_DID}, pds.admin),
            await pds.post(
                "com.atproto.server.deleteAccount", {"did": HOLD_DID, "password": "", "token": ""}
            ),
            await pds.post(
                "com.atproto.admin.updateSubjectStatus",
                {
                    "subject": {"$type": "com.atproto.admin.defs#repoRef", "did": HOLD_DID},
                    "deactivated": {"applied": True},
                },
                pds.admin,
            ),
            await pds.post(
                "com.atproto.server.createAccount",
                {"did": HOLD_DID, "handle": "hold.test", "email": "h@example.com"},
            ),
            await pds.post(
                "com.atproto.admin.updateAccountPassword",
                {"did": HOLD_DID, "password": "a password"},
                pds.admin,
            ),
        ):
            assert reply.status in (400, 401), reply.json
        assert pds.ctx.accounts.get_account(HOLD_DID).active
        assert pds.ctx.accounts.store.password_hash(HOLD_DID) is None
    async with started(tmp_path, PDS_HOLD_ENABLED="false") as pds:
        reply = await pds.post("com.atproto.admin.deleteAccount", {"did": HOLD_DID}, pds.admin)
        assert reply.status == 200


async def test_a_lost_signing_key_is_replaced_in_did_document_and_repository(
    tmp_path: Path,
) -> None:
    async with started(tmp_path) as pds:
        pds.ctx.actor_store.layout.key(HOLD_DID).unlink()
        pds.ctx.actor_store.keys.forget(HOLD_DID)
        assert (await pds.request("GET", "/.well-known/did.json")).status == 404
        path = f"/_holdfast/signing-key/{quote(HOLD_DID)}"
        reply = await pds.request("PUT", path, headers=pds.admin)
        assert reply.status == 200, reply.json
        key = parse_did_key(reply.json["signingKey"])
        document = (await pds.request("GET", "/.well-known/did.json")).json
        (method,) = document["verificationMethod"]
        assert method["publicKeyMultibase"] == key.did_key.removeprefix("did:key:")
        export = await pds.get("com.atproto.sync.getRepo", did=HOLD_DID)
        assert len(verify_export(export.body, HOLD_DID, key).records) == 3


async def test_records_that_a_full_disk_keeps_back_are_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with started(tmp_path):
        pass
    failures = [DatabaseFull(tmp_path, "disk full")] * 2

    async def write_once_there_is_space(*args: Any) -> None:
        if failures:
            raise failures.pop()
        await write_records(*args)

    monkeypatch.setattr("pds.hold.hold.write_records", write_once_there_is_space)
    async with started(tmp_path, PDS_HOLD_PUBLIC="true") as pds:
        assert (await record(pds, CAPTAIN))["public"] is False
        async with asyncio.timeout(10):
            while not (await record(pds, CAPTAIN))["public"]:
                await pds.ctx.sequencer.append()
        assert failures == []


async def test_damaged_files_of_the_hold_leave_other_accounts_alone(tmp_path: Path) -> None:
    async with started(tmp_path) as pds:
        alice = await pds.create_account("alice")
        await pds.post_text(alice)
        store = pds.ctx.actor_store.layout.store(HOLD_DID)
    for path in files_of(store):
        path.write_bytes(b"noise" * 1000)
    async with started(tmp_path) as pds:
        reply = await pds.get("com.atproto.repo.describeRepo", repo=alice.did)
        assert reply.status == 200
        reply = await pds.get(
            "com.atproto.repo.getRecord", repo=HOLD_DID, collection=CAPTAIN, rkey=SELF
        )
        assert reply.error == (503, "RepoUnavailable")
