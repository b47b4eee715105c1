"""What one worker has changed binds all others by the time it is answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pds.pending.import_turns import ImportUnderWay, Sender
from pds.repos.imports import import_repo
from repo.syntax import Did
from tests.pds.conftest import Account, Pds, Reply
from tests.pds.peers.conftest import ManyProcesses

POSTS = "app.bsky.feed.post"


@pytest.fixture
async def account(many: ManyProcesses) -> Account:
    """An account that every worker has seen, with its session, its document and its store."""
    account = await many.workers[0].create_account("alice")
    for worker in many.workers:
        await worker.post_text(account)
        assert (await describe(worker, account)).status == 200
        assert (await session_of(worker, account)).status == 200
        assert (await records_of(worker, account)).status == 200
    return account


async def session_of(pds: Pds, account: Account) -> Reply:
    return await pds.get("com.atproto.server.getSession", account.auth)


async def describe(pds: Pds, account: Account) -> Reply:
    return await pds.get("com.atproto.repo.describeRepo", repo=account.did)


async def records_of(pds: Pds, account: Account) -> Reply:
    nsid = "com.atproto.repo.listRecords"
    return await pds.get(nsid, repo=account.did, collection=POSTS)


async def change(pds: Pds, nsid: str, body: Any, headers: Any) -> None:
    reply = await pds.post(nsid, body, headers)
    assert reply.status == 200, reply.body


async def write(pds: Pds, account: Account) -> Reply:
    record = {"$type": POSTS, "text": "hello", "createdAt": "2026-01-01T00:00:00.000Z"}
    body = {"repo": account.did, "collection": POSTS, "record": record}
    return await pds.post("com.atproto.repo.createRecord", body, account.auth)


async def test_a_new_password_ends_sessions(many: ManyProcesses, account: Account) -> None:
    body = {"did": account.did, "password": "another"}
    await change(
        many.workers[0], "com.atproto.admin.updateAccountPassword", body, many.workers[0].admin
    )
    for worker in many.workers:
        assert (await session_of(worker, account)).error == (400, "ExpiredToken")
        login = {"identifier": account.handle, "password": account.password}
        assert (await worker.post("com.atproto.server.createSession", login)).status == 401


async def test_a_takedown_hides(many: ManyProcesses, account: Account) -> None:
    subject = {"$type": "com.atproto.admin.defs#repoRef", "did": account.did}
    for applied in (True, False):
        body = {"subject": subject, "takedown": {"applied": applied}}
        await change(
            many.workers[0], "com.atproto.admin.updateSubjectStatus", body, many.workers[0].admin
        )
        for worker in many.workers:
            assert (await records_of(worker, account)).status == (400 if applied else 200)
            assert (await write(worker, account)).status == (401 if applied else 200)


async def test_a_deactivated_account_takes_no_writes(many: ManyProcesses, account: Account) -> None:
    await change(many.workers[0], "com.atproto.server.deactivateAccount", {}, account.auth)
    for worker in many.workers:
        assert (await write(worker, account)).error == (401, "AccountDeactivated")
    await change(many.workers[1], "com.atproto.server.activateAccount", None, account.auth)
    for worker in many.workers:
        assert (await write(worker, account)).status == 200


async def test_a_deleted_account_is_gone(many: ManyProcesses, account: Account) -> None:
    body = {"did": account.did}
    await change(many.workers[0], "com.atproto.admin.deleteAccount", body, many.workers[0].admin)
    for ctx in (many.first, *(worker.ctx for worker in many.workers)):
        assert account.did not in ctx.actor_store.open_stores
        assert account.did not in ctx.accounts.repo_roots.queued
    for worker in many.workers:
        assert (await records_of(worker, account)).status == 400
        assert (await worker.get("com.atproto.sync.listRepos")).json["repos"] == []
        assert (await session_of(worker, account)).status in (400, 401)


async def test_a_handle_is_changed_everywhere(many: ManyProcesses, account: Account) -> None:
    body = {"handle": "renamed.test"}
    await change(many.workers[0], "com.atproto.identity.updateHandle", body, account.auth)
    for worker in many.workers:
        told = (await describe(worker, account)).json
        assert (told["handle"], told["handleIsCorrect"]) == ("renamed.test", True)
        assert told["didDoc"]["alsoKnownAs"] == ["at://renamed.test"]


async def test_a_quota_holds_everywhere(many: ManyProcesses, account: Account) -> None:
    for worker in many.workers:
        path = f"/_holdfast/quota/{account.did}"
        reply = await worker.request("PUT", path, headers=worker.admin, json={"quotaBytes": 0})
        assert reply.status == 200, reply.body
        for each in many.workers:
            assert (await write(each, account)).error == (400, "QuotaExceeded")
        await worker.request("PUT", path, headers=worker.admin, json={"quotaBytes": None})
        for each in many.workers:
            assert (await write(each, account)).status == 200


async def test_a_new_signing_key_signs_everywhere(many: ManyProcesses, account: Account) -> None:
    for worker in many.workers:
        path = f"/_holdfast/signing-key/{account.did}"
        reply = await worker.request("PUT", path, headers=worker.admin)
        assert reply.status == 200, reply.body
        for ctx in (many.first, *(each.ctx for each in many.workers)):
            assert ctx.actor_store.key(account.did).did_key == reply.json["signingKey"]


async def test_list_repos_has_the_newest_heads(many: ManyProcesses, account: Account) -> None:
    written = await many.workers[0].post_text(account)
    for worker in many.workers:
        (repo,) = (await worker.get("com.atproto.sync.listRepos")).json["repos"]
        assert repo["rev"] == written["commit"]["rev"]


async def test_a_did_has_one_reserved_key(many: ManyProcesses) -> None:
    body = {"did": "did:plc:abcdefghijklmnopqrstuvwx"}
    replies = await asyncio.gather(
        *(worker.post("com.atproto.server.reserveSigningKey", body) for worker in many.workers * 3)
    )
    assert len({reply.json["signingKey"] for reply in replies}) == 1


async def test_an_account_has_one_import_at_a_time(many: ManyProcesses, account: Account) -> None:
    one, other = many.workers
    arriving = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        arriving.set()
        await asyncio.Event().wait()
        yield b""

    did = Did(account.did)
    first = asyncio.create_task(import_repo(one.ctx, did, slow(), Sender()))
    await arriving.wait()
    with pytest.raises(ImportUnderWay):
        await import_repo(other.ctx, did, slow(), Sender())
    first.cancel()
    await asyncio.wait((first,))


async def test_damage_is_known_everywhere_and_forgotten_when_it_is_repaired(
    many: ManyProcesses, account: Account
) -> None:
    layout = many.first.actor_store.layout
    layout.key(account.did).unlink()
    for ctx in (many.first, *(worker.ctx for worker in many.workers)):
        ctx.actor_store.keys.forget(account.did)
    assert (await write(many.workers[0], account)).status == 503
    reply = await many.workers[1].request(
        "PUT", f"/_holdfast/signing-key/{account.did}", headers=many.workers[1].admin
    )
    assert reply.status == 200, reply.body
    for worker in many.workers:
        assert (await write(worker, account)).status == 200
        assert worker.ctx.unfinished.damaged == set()
    assert many.first.unfinished.journal.entries() == []


async def test_list_repos_does_not_wait_for_a_worker_that_hangs(
    many: ManyProcesses, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = many.workers[0]
    hanging = one.ctx.peers.worker(1)
    assert hanging is not None
    never = asyncio.Event()
    monkeypatch.setattr(hanging, "ask", lambda *_: never.wait())
    monkeypatch.setattr("pds.peers.calls.in_time.__kwdefaults__", {"within_s": 0.01})
    (repo,) = (await one.get("com.atproto.sync.listRepos")).json["repos"]
    assert repo["did"] == account.did


async def test_a_repository_is_imported_whoever_gets_it(
    many: ManyProcesses, account: Account
) -> None:
    exported = await many.workers[0].get("com.atproto.sync.getRepo", did=account.did)
    before = (await records_of(many.workers[0], account)).json
    for worker in many.workers:
        reply = await worker.request(
            "POST",
            "/xrpc/com.atproto.repo.importRepo",
            headers={**account.auth, "Content-Type": "application/vnd.ipld.car"},
            data=exported.body,
        )
        assert reply.status == 200, reply.body
        for each in many.workers:
            assert (await records_of(each, account)).json == before
