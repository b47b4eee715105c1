"""com.atproto.repo.describeRepo."""

from __future__ import annotations

import pytest

from tests.pds.api.records import (
    NOBODY,
    NOTE,
    POST,
    create,
    deactivate,
    delete,
    moderate,
    post,
    repo_subject,
)
from tests.pds.conftest import Account, Pds, Reply


async def describe(pds: Pds, repo: str, headers: dict[str, str] | None = None) -> Reply:
    return await pds.get("com.atproto.repo.describeRepo", headers, repo=repo)


async def test_new_repo_has_no_collections(pds: Pds, alice: Account) -> None:
    reply = await describe(pds, alice.did)
    assert reply.status == 200
    assert reply.json["collections"] == []
    assert (reply.json["did"], reply.json["handle"]) == (alice.did, alice.handle)
    assert reply.json["handleIsCorrect"] is True
    document = reply.json["didDoc"]
    assert document["id"] == alice.did
    assert document["alsoKnownAs"] == [f"at://{alice.handle}"]
    assert document["service"][0]["serviceEndpoint"] == pds.ctx.settings.public_url


async def test_collections_come_and_go_with_their_records(pds: Pds, alice: Account) -> None:
    await create(pds, alice, post(), POST)
    for rkey in ("one", "two"):
        await create(pds, alice, {"n": 1}, rkey=rkey)
    assert (await describe(pds, alice.handle)).json["collections"] == [POST, NOTE]
    for rkey in ("one", "two"):
        await delete(pds, alice, rkey)
    assert (await describe(pds, alice.did)).json["collections"] == [POST]


async def test_unknown_repo(pds: Pds) -> None:
    for repo in (NOBODY, "nobody.test"):
        reply = await describe(pds, repo)
        assert reply.error == (400, "RepoNotFound")
        assert reply.json["message"] == f"Could not find repo for DID: {repo}"


async def test_handle_is_incorrect_once_the_document_says_otherwise(
    pds: Pds, alice: Account
) -> None:
    # Only the service database learns of it, as if the directory had not been reached.
    pds.ctx.accounts.db.run("UPDATE actor SET handle = 'other.test' WHERE did = ?", (alice.did,))
    reply = await describe(pds, alice.did)
    assert (reply.json["handle"], reply.json["handleIsCorrect"]) == ("other.test", False)


@pytest.mark.parametrize(
    ("how", "error", "verb"),
    [
        ("deactivated", "RepoDeactivated", "deactivated"),
        ("takendown", "RepoTakendown", "takendown"),
    ],
)
async def test_inactive_repo(pds: Pds, alice: Account, how: str, error: str, verb: str) -> None:
    if how == "deactivated":
        await deactivate(pds, alice)
    else:
        await moderate(pds, repo_subject(alice), takedown=True)
    reply = await describe(pds, alice.did)
    assert reply.error == (400, error)
    assert reply.json["message"] == f"Repo has been {verb}: {alice.did}"
