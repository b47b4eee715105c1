"""Everything a server says of its accounts, to be compared with what another says of them."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conformance.client import Client, bearer
from tests.pds.api.firehose import Message

UNSTABLE = ("didDoc", "handleIsCorrect", "accessJwt", "refreshJwt")
"""What depends on the age of a cached document, or on the moment."""


@dataclass(slots=True)
class Snapshot:
    """What was answered. Each part maps a DID to it, except the last two."""

    states: dict[str, Any]
    records: dict[str, Any]
    blobs: dict[str, Any]
    exports: dict[str, bytes]
    owned: dict[str, Any]
    """What only the owner is told: session, preferences, app passwords."""
    listed: Any
    frames: list[bytes]
    """The whole firehose."""


def take_snapshot(client: Client, directory: Path, passwords: Mapping[str, str]) -> Snapshot:
    """Ask a server about all of its accounts; `passwords` are by DID."""
    listed = client.call("com.atproto.sync.listRepos", limit=1000)["repos"]
    dids = [repo["did"] for repo in listed]
    active = [repo["did"] for repo in listed if repo["active"]]
    return Snapshot(
        states={did: _state(client, did) for did in dids},
        records={did: _records(client, did) for did in active},
        blobs={did: _blobs(client, did) for did in active},
        exports={did: client.get("com.atproto.sync.getRepo", did=did).body for did in active},
        owned={did: _owned(client, did, password) for did, password in passwords.items()},
        listed=listed,
        frames=client.frames(0, latest_seq(directory), lambda frame: Message.parse(frame).seq),
    )


def latest_seq(directory: Path) -> int:
    """The last position of the event log on the disk."""
    with closing(sqlite3.connect(directory / "sequencer.sqlite")) as db:
        return int(db.execute("SELECT max(seq) FROM repo_seq").fetchone()[0])


def _state(client: Client, did: str) -> Any:
    described = client.get("com.atproto.repo.describeRepo", repo=did).json
    handle = described.get("handle")
    resolved = (
        client.get("com.atproto.identity.resolveHandle", handle=handle).json if handle else None
    )
    return {
        "status": client.get("com.atproto.sync.getRepoStatus", did=did).json,
        "head": client.get("com.atproto.sync.getLatestCommit", did=did).json,
        "described": _stable(described),
        "resolved": resolved,
    }


def _records(client: Client, did: str) -> Any:
    found = []
    for collection in client.call("com.atproto.repo.describeRepo", repo=did)["collections"]:
        page: dict[str, str] = {}
        while True:
            params = {"repo": did, "collection": collection, "limit": "100", **page}
            answer = client.call("com.atproto.repo.listRecords", **params)
            found += answer["records"]
            if "cursor" not in answer:
                break
            page = {"cursor": answer["cursor"]}
    return found


def _blobs(client: Client, did: str) -> Any:
    cids = client.call("com.atproto.sync.listBlobs", did=did)["cids"]
    replies = {cid: client.get("com.atproto.sync.getBlob", did=did, cid=cid) for cid in cids}
    return {cid: (reply.status, reply.content_type, reply.body) for cid, reply in replies.items()}


def _owned(client: Client, did: str, password: str) -> Any:
    login = client.post(
        "com.atproto.server.createSession", {"identifier": did, "password": password}
    )
    if login.status != 200:
        return login.json
    headers = bearer(login.json["accessJwt"])
    return {
        "session": _stable(login.json),
        "again": _stable(client.get("com.atproto.server.getSession", headers).json),
        "preferences": client.get("app.bsky.actor.getPreferences", headers).json,
        "app passwords": client.get("com.atproto.server.listAppPasswords", headers).json,
    }


def _stable(answer: Any) -> Any:
    return {name: value for name, value in answer.items() if name not in UNSTABLE}
