"""The routes for the operator: who may use them, and what they tell and change."""

from __future__ import annotations

from typing import Any

import pytest

from pds.pending.import_turns import Sender
from repo.syntax import Did
from tests.pds.api.records import create
from tests.pds.conftest import Account, Pds, Reply, basic_auth

ROUTES = [
    ("GET", "/_holdfast/usage"),
    ("GET", "/_holdfast/usage/alice.test"),
    ("GET", "/_holdfast/storage"),
    ("PUT", "/_holdfast/quota/alice.test"),
    ("PUT", "/_holdfast/signing-key/alice.test"),
    ("PUT", "/_holdfast/sequencer"),
    ("POST", "/_holdfast/import"),
    ("GET", "/_holdfast/firehose/subscribers"),
    ("GET", "/_holdfast/imports"),
    ("GET", "/_holdfast/blob-stores/disk"),
    ("POST", "/_holdfast/blob-stores/s3"),
    ("GET", "/_holdfast/blobs/alice.test"),
    (
        "PUT",
        "/_holdfast/blobs/alice.test/bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",
    ),
]


async def ask(pds: Pds, path: str, **params: Any) -> Reply:
    return await pds.request("GET", f"/_holdfast/{path}", headers=pds.admin, params=params)


async def set_quota(pds: Pds, account: str, body: Any) -> Reply:
    path = f"/_holdfast/quota/{account}"
    return await pds.request("PUT", path, headers=pds.admin, json=body)


@pytest.mark.parametrize(("verb", "path"), ROUTES)
async def test_only_the_administrator_is_served(
    pds: Pds, alice: Account, verb: str, path: str
) -> None:
    for headers in ({}, basic_auth("admin", "wrong"), basic_auth("root", "admin-pass"), alice.auth):
        reply = await pds.request(verb, path, headers=headers, json={"quotaBytes": 0})
        assert reply.error == (401, "AuthenticationRequired")
        assert "Access-Control-Allow-Origin" not in reply.headers
    assert pds.ctx.accounts.quotas.find(alice.did) is None


# --- Imports


async def test_imports_under_way_are_told_with_their_places_in_the_queue(pds: Pds) -> None:
    assert (await ask(pds, "imports")).json == {"imports": []}
    did = Did("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa")
    with pds.ctx.imports.begun(did) as one:
        one.size_bytes = 1_000
        (told,) = (await ask(pds, "imports")).json["imports"]
        assert told == {"did": did, "state": "receiving", "sizeBytes": 1_000}
        async with pds.ctx.imports.loading(one, Sender(ticket="mine")):
            (told,) = (await ask(pds, "imports")).json["imports"]
            assert (told["state"], told["ticket"]) == ("loading", "mine")
    assert (await ask(pds, "imports")).json == {"imports": []}


# --- Usage


async def test_usage_of_an_account_is_what_it_has(pds: Pds, alice: Account) -> None:
    blob = (await pds.upload(alice, b"a" * 1_000)).json["blob"]
    await create(pds, alice, {"blob": blob})
    await pds.upload(alice, b"b" * 500)
    for name in (alice.did, alice.handle):
        reply = await ask(pds, f"usage/{name}")
        assert reply.status == 200
        assert reply.headers["Cache-Control"] == "no-store"
        usage = reply.json
        assert usage.pop("usedBytes") == usage["databaseBytes"] + usage["blobBytes"]
        assert 50_000 < usage.pop("databaseBytes") < 500_000
        assert usage == {
            "did": alice.did,
            "handle": alice.handle,
            "status": "active",
            "blobBytes": 1_500,
            "records": 1,
            "blobs": 2,
            "quotaBytes": None,
            "quotaIsOwn": False,
        }


async def test_an_account_that_is_not_here_is_not_found(pds: Pds) -> None:
    for reply in (
        await ask(pds, "usage/nobody.test"),
        await set_quota(pds, "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", {"quotaBytes": 5}),
    ):
        assert reply.error == (404, "AccountNotFound")


async def test_inactive_accounts_are_told_with_their_state(pds: Pds, alice: Account) -> None:
    await pds.ctx.accounts.states.takedown(Did(alice.did))
    assert (await ask(pds, f"usage/{alice.did}")).json["status"] == "takendown"


async def test_pages_hold_every_account_once(pds: Pds) -> None:
    made = [(await pds.create_account()).did for _ in range(7)]
    found: list[str] = []
    cursor: dict[str, str] = {}
    pages = 0
    while pages < 5:
        reply = await ask(pds, "usage", limit=3, **cursor)
        found += [account["did"] for account in reply.json["accounts"]]
        pages += 1
        if "cursor" not in reply.json:
            break
        cursor = {"cursor": reply.json["cursor"]}
    assert found == made
    assert pages == 3


async def test_a_damaged_account_does_not_hide_the_others(
    pds: Pds, alice: Account, bob: Account
) -> None:
    store = pds.ctx.actor_store.layout.store(alice.did)
    pds.ctx.actor_store.open_stores.discard(alice.did)
    store.write_bytes(b"noise" * 1000)
    accounts = {one["did"]: one for one in (await ask(pds, "usage")).json["accounts"]}
    assert accounts[alice.did]["usedBytes"] is None
    assert accounts[alice.did]["records"] is None
    assert accounts[bob.did]["records"] == 0


@pytest.mark.parametrize(
    "params",
    [{"limit": value} for value in ("0", "101", "-1", "many", "1e1", "٣", "")] + [{"cursor": "x"}],
)
async def test_bad_parameters_are_refused(pds: Pds, params: dict[str, str]) -> None:
    assert (await ask(pds, "usage", **params)).error == (400, "InvalidRequest")


# --- Storage


async def test_storage_is_what_lies_on_the_disk(pds: Pds, alice: Account) -> None:
    blob = (await pds.upload(alice, b"a" * 1_000)).json["blob"]
    await create(pds, alice, {"blob": blob})
    await pds.upload(alice, b"b" * 500)
    reply = await ask(pds, "storage")
    assert reply.status == 200
    storage = reply.json
    assert storage["databases"].keys() == {"account", "sequencer", "did_cache"}
    for database in storage["databases"].values():
        assert database["bytes"] + database["walBytes"] > 4096
    assert storage["actorStores"]["count"] == 1
    assert storage["actorStores"]["bytes"] > 50_000
    assert storage["blobs"] == {"count": 1, "bytes": 1_000}
    assert storage["uploads"] == {"count": 1, "bytes": 500}
    assert storage["measuredAt"].endswith("Z")
    (disk, *_) = storage["disks"]
    assert disk["directory"] == str(pds.ctx.settings.data_directory)
    assert 0 < disk["freeBytes"] < disk["totalBytes"]


# --- Quotas


async def test_a_quota_is_set_and_holds_at_once(pds: Pds, alice: Account) -> None:
    reply = await set_quota(pds, alice.handle, {"quotaBytes": 1_000})
    assert (reply.status, reply.json["quotaBytes"], reply.json["quotaIsOwn"]) == (200, 1_000, True)
    assert (await create(pds, alice, {"n": 1})).error == (400, "QuotaExceeded")
    reply = await set_quota(pds, alice.did, {"quotaBytes": "none"})
    assert (reply.json["quotaBytes"], reply.json["quotaIsOwn"]) == (None, True)
    assert (await create(pds, alice, {"n": 1})).status == 200
    reply = await set_quota(pds, alice.did, {"quotaBytes": None})
    assert (reply.json["quotaBytes"], reply.json["quotaIsOwn"]) == (None, False)


NO_QUOTAS: list[Any] = [-1, 2**63, 1.5, True, "5", "", [], {}]


@pytest.mark.parametrize(
    "body",
    [*({"quotaBytes": value} for value in NO_QUOTAS), *({}, [], 5, {"quota": 5})],
    ids=repr,
)
async def test_a_quota_that_is_none_is_refused(pds: Pds, alice: Account, body: Any) -> None:
    reply = await set_quota(pds, alice.did, body)
    assert reply.error == (400, "InvalidRequest")
    assert pds.ctx.accounts.quotas.find(alice.did) is None


async def test_a_body_that_is_no_json_is_refused(pds: Pds, alice: Account) -> None:
    path = f"/_holdfast/quota/{alice.did}"
    reply = await pds.request("PUT", path, headers=pds.admin, data=b"{")
    assert reply.error == (400, "SyntaxError")
