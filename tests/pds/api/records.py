"""Records to write, and short ways to write them."""

from __future__ import annotations

from typing import Any

from tests.pds.conftest import Account, Pds, Reply

NOTE = "com.example.note"
"""A type that no Lexicon describes."""
POST = "app.bsky.feed.post"
PROFILE = "app.bsky.actor.profile"
CREATED_AT = "2026-01-01T00:00:00.000Z"
NOBODY = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"

_APPLY = "com.atproto.repo.applyWrites"


def post(text: str = "hello", **fields: Any) -> dict[str, Any]:
    """A valid post."""
    return {"$type": POST, "text": text, "createdAt": CREATED_AT, **fields}


def like(uri: str, cid: str) -> dict[str, Any]:
    """A valid like of a record."""
    return {
        "$type": "app.bsky.feed.like",
        "subject": {"uri": uri, "cid": cid},
        "createdAt": CREATED_AT,
    }


def follow(did: str) -> dict[str, Any]:
    """A valid follow of an account."""
    return {"$type": "app.bsky.graph.follow", "subject": did, "createdAt": CREATED_AT}


def uri_of(account: Account, rkey: str, collection: str = NOTE) -> str:
    """The URI that a record of the account has."""
    return f"at://{account.did}/{collection}/{rkey}"


async def create(
    pds: Pds, account: Account, record: Any, collection: str = NOTE, **more: Any
) -> Reply:
    """createRecord in the account's own repo, unless `more` names another."""
    body = {"repo": account.did, "collection": collection, "record": record, **more}
    return await pds.post("com.atproto.repo.createRecord", body, account.auth)


async def put(
    pds: Pds, account: Account, rkey: str, record: Any, collection: str = NOTE, **more: Any
) -> Reply:
    """putRecord."""
    body = {"repo": account.did, "collection": collection, "rkey": rkey, "record": record, **more}
    return await pds.post("com.atproto.repo.putRecord", body, account.auth)


async def delete(
    pds: Pds, account: Account, rkey: str, collection: str = NOTE, **more: Any
) -> Reply:
    """deleteRecord."""
    body = {"repo": account.did, "collection": collection, "rkey": rkey, **more}
    return await pds.post("com.atproto.repo.deleteRecord", body, account.auth)


async def apply(pds: Pds, account: Account, *writes: dict[str, Any], **more: Any) -> Reply:
    """applyWrites."""
    return await pds.post(_APPLY, {"repo": account.did, "writes": writes, **more}, account.auth)


def creates(value: Any, rkey: str | None = None, collection: str = NOTE) -> dict[str, Any]:
    """A create for `apply`."""
    write = {"$type": f"{_APPLY}#create", "collection": collection, "value": value}
    return write if rkey is None else {**write, "rkey": rkey}


def updates(rkey: str, value: Any, collection: str = NOTE) -> dict[str, Any]:
    """An update for `apply`."""
    return {"$type": f"{_APPLY}#update", "collection": collection, "rkey": rkey, "value": value}


def deletes(rkey: str, collection: str = NOTE) -> dict[str, Any]:
    """A delete for `apply`."""
    return {"$type": f"{_APPLY}#delete", "collection": collection, "rkey": rkey}


async def get(pds: Pds, account: Account, rkey: str, collection: str = NOTE) -> Reply:
    """com.atproto.repo.getRecord."""
    return await pds.get(
        "com.atproto.repo.getRecord", repo=account.did, collection=collection, rkey=rkey
    )


async def sync(pds: Pds, method: str, headers: Any = None, **params: Any) -> Reply:
    """A query of com.atproto.sync."""
    return await pds.get(f"com.atproto.sync.{method}", headers, **params)


async def latest_commit(pds: Pds, account: Account) -> dict[str, str]:
    """CID and rev of the repository's head."""
    reply = await pds.get("com.atproto.sync.getLatestCommit", did=account.did)
    found: dict[str, str] = reply.json
    return found


async def moderate(pds: Pds, subject: dict[str, str], *, takedown: bool) -> None:
    """Take something down, or reverse that, as the administrator."""
    body = {"subject": subject, "takedown": {"applied": takedown, "ref": "case-1"}}
    reply = await pds.post("com.atproto.admin.updateSubjectStatus", body, pds.admin)
    assert reply.status == 200, reply.body


def repo_subject(account: Account) -> dict[str, str]:
    """An account, for `moderate`."""
    return {"$type": "com.atproto.admin.defs#repoRef", "did": account.did}


async def deactivate(pds: Pds, account: Account) -> None:
    """Deactivate an account."""
    reply = await pds.post("com.atproto.server.deactivateAccount", {}, account.auth)
    assert reply.status == 200, reply.body
