"""Accounts that are deactivated or taken down: who still sees what of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.pds.api.moderation import NOTE, PNG, REVERSED, make_inactive, update_account
from tests.pds.conftest import Account, Pds, Reply

SYNC_READS = {
    "com.atproto.sync.getLatestCommit": ("did",),
    "com.atproto.sync.getHead": ("did",),
    "com.atproto.sync.getRepo": ("did",),
    "com.atproto.sync.getCheckout": ("did",),
    "com.atproto.sync.getRecord": ("did", "collection", "rkey"),
    "com.atproto.sync.getBlocks": ("did", "cids"),
    "com.atproto.sync.listBlobs": ("did",),
    "com.atproto.sync.getBlob": ("did", "cid"),
}
"""The methods that the owner may still call, with the parameters they take of `furnished`."""
OTHER_READS = {
    "com.atproto.repo.describeRepo": ("repo",),
    "com.atproto.repo.listRecords": ("repo", "collection"),
    "com.atproto.repo.getRecord": ("repo", "collection", "rkey"),
}
TAKES_TAKENDOWN = ("getRepo", "listBlobs", "getBlob")


async def read(
    pds: Pds, nsid: str, furnished: dict[str, Any], headers: dict[str, str] | None = None
) -> Reply:
    """Call one of the methods about the furnished account."""
    names = (SYNC_READS | OTHER_READS)[nsid]
    params = {name: furnished[name] for name in names}
    return await pds.request("GET", f"/xrpc/{nsid}", headers=headers, params=params)


def refusal(nsid: str, did: str, state: str) -> dict[str, str]:
    """What strangers are told who ask for an account in `state`."""
    if nsid.endswith("listRecords"):
        return {"error": "InvalidRequest", "message": f"Could not find repo: {did}"}
    if nsid == "com.atproto.repo.getRecord":
        return {"error": "InvalidRequest", "message": "Could not locate record"}
    return {
        "error": f"Repo{state.capitalize()}",
        "message": f"Repo has been {state}: {did}",
    }


@pytest.mark.parametrize("state", ["deactivated", "takendown"])
async def test_an_inactive_repository_is_closed_to_strangers(
    pds: Pds, alice: Account, bob: Account, furnished: dict[str, Any], state: str
) -> None:
    for nsid in SYNC_READS | OTHER_READS:
        assert (await read(pds, nsid, furnished)).status == 200, nsid
    await make_inactive(pds, alice, state)
    for nsid in SYNC_READS | OTHER_READS:
        for headers in (None, bob.auth):
            reply = await read(pds, nsid, furnished, headers)
            assert (reply.status, reply.json) == (400, refusal(nsid, alice.did, state))


@pytest.mark.parametrize("state", ["deactivated", "takendown"])
async def test_an_inactive_repository_is_open_to_its_owner_and_the_administrator(
    pds: Pds, alice: Account, furnished: dict[str, Any], state: str
) -> None:
    await make_inactive(pds, alice, state)
    for nsid in SYNC_READS:
        for headers in (alice.auth, pds.admin):
            assert (await read(pds, nsid, furnished, headers)).status == 200, nsid


async def test_a_session_opened_to_appeal_can_take_the_data_along(
    pds: Pds, alice: Account, furnished: dict[str, Any]
) -> None:
    await make_inactive(pds, alice, "takendown")
    login = await pds.post(
        "com.atproto.server.createSession",
        {"identifier": alice.did, "password": alice.password, "allowTakendown": True},
    )
    auth = {"Authorization": f"Bearer {login.json['accessJwt']}"}
    for nsid in SYNC_READS:
        reply = await read(pds, nsid, furnished, auth)
        if nsid.endswith(TAKES_TAKENDOWN):
            assert reply.status == 200, nsid
        else:
            assert reply.error == (400, "InvalidToken"), nsid
    assert (await pds.post("com.atproto.server.deactivateAccount", {}, auth)).status == 200


@pytest.mark.parametrize("state", ["deactivated", "takendown"])
async def test_an_inactive_account_is_listed_with_its_status(
    pds: Pds, alice: Account, state: str
) -> None:
    await make_inactive(pds, alice, state)
    status = await pds.get("com.atproto.sync.getRepoStatus", did=alice.did)
    assert status.json == {"did": alice.did, "active": False, "status": state}
    (listed,) = (await pds.get("com.atproto.sync.listRepos")).json["repos"]
    assert (listed["active"], listed["status"]) == (False, state)


@pytest.mark.parametrize("state", ["deactivated", "takendown"])
async def test_the_handle_of_an_inactive_account_leads_nowhere(
    pds: Pds, alice: Account, state: str
) -> None:
    await make_inactive(pds, alice, state)
    resolved = await pds.get("com.atproto.identity.resolveHandle", handle=alice.handle)
    assert resolved.error == (400, "HandleNotFound")
    host = {"Host": alice.handle}
    known = await pds.request("GET", "/.well-known/atproto-did", headers=host)
    assert known.status == 404
    checked = await pds.request("GET", "/tls-check", params={"domain": alice.handle})
    assert checked.status == 404


async def test_a_reversal_opens_everything_again(
    pds: Pds, alice: Account, furnished: dict[str, Any]
) -> None:
    for state, undo in (
        ("takendown", {"takedown": REVERSED}),
        ("deactivated", {"deactivated": REVERSED}),
    ):
        await make_inactive(pds, alice, state)
        assert (await update_account(pds, alice, **undo)).status == 200
        for nsid in SYNC_READS | OTHER_READS:
            assert (await read(pds, nsid, furnished)).status == 200, nsid
    resolved = await pds.get("com.atproto.identity.resolveHandle", handle=alice.handle)
    assert resolved.json == {"did": alice.did}


async def test_a_taken_down_account_does_not_write(pds: Pds, alice: Account) -> None:
    await make_inactive(pds, alice, "takendown")
    body = {"repo": alice.did, "collection": NOTE, "record": {}}
    reply = await pds.post("com.atproto.repo.createRecord", body, alice.auth)
    assert reply.json == {"error": "AccountTakedown", "message": "Account has been taken down"}
    assert (await pds.upload(alice, PNG)).error == (401, "AccountTakedown")
