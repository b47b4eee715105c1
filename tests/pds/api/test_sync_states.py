"""com.atproto.sync: heads and states of repositories, and who may see which."""

from __future__ import annotations

from typing import Any

import pytest

from repo.cid import Cid
from tests.pds.api.records import (
    NOBODY,
    NOTE,
    create,
    deactivate,
    latest_commit,
    moderate,
    repo_subject,
    sync,
)
from tests.pds.conftest import Account, Pds


async def test_head_follows_every_commit(pds: Pds, alice: Account) -> None:
    revs = []
    for n in range(3):
        commit = (await create(pds, alice, {"n": n})).json["commit"]
        assert await latest_commit(pds, alice) == commit
        assert (await sync(pds, "getHead", did=alice.did)).json == {"root": commit["cid"]}
        status = await sync(pds, "getRepoStatus", did=alice.did)
        assert status.json == {"did": alice.did, "active": True, "rev": commit["rev"]}
        revs.append(commit["rev"])
    assert revs == sorted(set(revs))


PER_REPO: dict[str, dict[str, Any]] = {
    "getRepo": {},
    "getCheckout": {},
    "getLatestCommit": {},
    "getHead": {},
    "getRecord": {"collection": NOTE, "rkey": "one"},
    "getBlocks": {"cids": []},
    "listBlobs": {},
}


@pytest.mark.parametrize(
    ("how", "error", "verb"),
    [
        ("deactivated", "RepoDeactivated", "deactivated"),
        ("takendown", "RepoTakendown", "takendown"),
        ("both", "RepoTakendown", "takendown"),
    ],
)
async def test_inactive_repo_is_for_its_owner_and_the_administrator(
    pds: Pds, alice: Account, bob: Account, how: str, error: str, verb: str
) -> None:
    head = (await create(pds, alice, {"n": 1}, rkey="one")).json["commit"]["cid"]
    if how != "takendown":
        await deactivate(pds, alice)
    if how != "deactivated":
        await moderate(pds, repo_subject(alice), takedown=True)
    for method, more in PER_REPO.items():
        params = {"did": alice.did, **more}
        if "cids" in params:
            params["cids"] = [head]
        for headers in (None, bob.auth):
            reply = await sync(pds, method, headers, **params)
            assert reply.error == (400, error), method
            assert reply.json["message"] == f"Repo has been {verb}: {alice.did}"
        for headers in (alice.auth, pds.admin):
            assert (await sync(pds, method, headers, **params)).status == 200, method
        bad = {"Authorization": "Bearer junk"}
        assert (await sync(pds, method, bad, **params)).error == (400, "InvalidToken")
    status = await sync(pds, "getRepoStatus", did=alice.did)
    expected = "takendown" if how == "both" else how
    assert status.json == {"did": alice.did, "active": False, "status": expected}


async def test_unknown_repo(pds: Pds) -> None:
    for method, more in {**PER_REPO, "getRepoStatus": {}}.items():
        params = {"did": NOBODY, **more}
        if "cids" in params:
            params["cids"] = [str(Cid.of_raw(b"x"))]
        reply = await sync(pds, method, **params)
        assert reply.error == (400, "RepoNotFound"), method
        assert reply.json["message"] == f"Could not find repo for DID: {NOBODY}"


@pytest.mark.parametrize("method", ["getRepo", "getLatestCommit", "getHead", "getRepoStatus"])
async def test_bad_params(pds: Pds, method: str) -> None:
    nsid = f"com.atproto.sync.{method}"
    reply = await sync(pds, method, did="xx")
    assert reply.json["message"] == f'Invalid {nsid} params: Invalid DID (got "xx")'
    reply = await sync(pds, method)
    assert reply.json["message"] == f'Invalid {nsid} params: Missing required key "did"'
    if method == "getRepo":
        reply = await sync(pds, method, did=NOBODY, since="xx")
        assert reply.json["message"] == f'Invalid {nsid} params: Invalid TID string (got "xx")'


async def test_repos_are_listed_in_the_order_of_their_accounts(pds: Pds) -> None:
    accounts = [await pds.create_account() for _ in range(5)]
    for account in accounts[1:4]:
        await create(pds, account, {"n": 1})
    await deactivate(pds, accounts[1])
    await moderate(pds, repo_subject(accounts[2]), takedown=True)
    expected = [
        {
            "did": account.did,
            "head": head["cid"],
            "rev": head["rev"],
            "active": status is None,
            **({} if status is None else {"status": status}),
        }
        for account, status in zip(
            accounts, (None, "deactivated", "takendown", None, None), strict=True
        )
        for head in [(await sync(pds, "getLatestCommit", pds.admin, did=account.did)).json]
    ]
    reply = await sync(pds, "listRepos")
    assert reply.json["repos"] == expected
    assert reply.json["cursor"].endswith(f"::{accounts[4].did}")
    seen: list[Any] = []
    page: dict[str, str] = {}
    while True:
        reply = await sync(pds, "listRepos", limit=2, **page)
        seen += reply.json["repos"]
        if "cursor" not in reply.json:
            break
        page = {"cursor": reply.json["cursor"]}
    assert seen == expected


async def test_no_repos_are_an_empty_list(pds: Pds) -> None:
    assert (await sync(pds, "listRepos")).json == {"repos": []}


@pytest.mark.parametrize(
    "cursor", ["zz", "::", "1::", "::did:plc:x", "-1::did:plc:x", "9" * 15 + "::did:x", "1:did:x"]
)
async def test_malformed_cursor_is_refused(pds: Pds, cursor: str) -> None:
    reply = await sync(pds, "listRepos", cursor=cursor)
    assert reply.error == (400, "InvalidRequest")
    assert reply.json["message"] == "Malformed cursor"
    reply = await sync(pds, "listRepos", limit=0)
    assert "integer too small (minimum 1, got 0)" in reply.json["message"]
