"""A consumer of the firehose as relays are: it keeps a copy of every repository.

It checks every event, keeps its cursor, and where commits are missing it fetches the repository
as soon as a `#sync` tells it to. Without one it knows of the gap, and says so.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import aiohttp

from database.opening import open_database
from repo.cid import Cid
from repo.commit import decode_commit
from repo.keys import PublicKey, parse_did_key
from tests.pds.api.exports import Export, read_car, verify_export
from tests.pds.api.firehose import Message, operations, verify_commit

_CATCH_UP_S = 20.0


class Followed(Protocol):
    """A server with its data, and with a PLC directory."""

    @property
    def url(self) -> str: ...
    @property
    def plc_url(self) -> str: ...
    @property
    def data(self) -> Path: ...


@dataclass(slots=True)
class Copy:
    """What the watcher believes of one account."""

    records: dict[str, Cid] = field(default_factory=dict)
    rev: str = ""
    data: Cid | None = None
    handle: str | None = None
    active: bool | None = None
    status: str | None = None
    has_gap: bool = False
    """Whether commits were missed and nothing has told to fetch the repository since."""


@dataclass(slots=True)
class Watcher:
    """Copies of every repository of one server, over as many of its runs as there are."""

    server: Followed
    http: aiohttp.ClientSession
    cursor: int = 0
    copies: dict[str, Copy] = field(default_factory=dict)
    seen: dict[int, tuple[str, str, str | None]] = field(default_factory=dict)
    """Kind, DID and rev of each event by its seq."""
    keys: dict[str, PublicKey] = field(default_factory=dict)
    fetches: int = 0

    async def follow(self) -> None:
        """Take events until the connection ends."""
        try:
            await self._follow(until=None)
        except (aiohttp.ClientError, ConnectionError):
            return

    async def catch_up(self) -> None:
        """Take every event that there is just now."""
        newest = newest_seq(self.server.data)
        if newest > self.cursor:
            async with asyncio.timeout(_CATCH_UP_S):
                await self._follow(until=newest)

    async def _follow(self, until: int | None) -> None:
        url = f"{self.server.url}/xrpc/com.atproto.sync.subscribeRepos"
        cursor = {"cursor": str(self.cursor)}
        async with self.http.ws_connect(url, params=cursor, max_msg_size=0) as socket:
            async for frame in socket:
                message = Message.parse(frame.data)
                assert message.kind != "error", message.body
                await self._take(message)
                if until is not None and self.cursor >= until:
                    return

    async def _take(self, message: Message) -> None:
        body, seq = message.body, message.seq
        assert seq > self.cursor, "a seq has come again"
        did = body["repo"] if message.kind == "#commit" else body["did"]
        copy = self.copies.setdefault(did, Copy())
        match message.kind:
            case "#commit":
                await self._take_commit(copy, body)
            case "#sync":
                await self._take_sync(copy, body)
            case "#account":
                copy.active, copy.status = body["active"], body.get("status")
            case "#identity":
                # Left out where the DID changed, but not its handle.
                copy.handle = body.get("handle", copy.handle)
        # Only now: what a crash interrupts is read once more.
        self.cursor = seq
        self.seen[seq] = (message.kind, did, body.get("rev"))

    async def _take_commit(self, copy: Copy, body: dict[str, Any]) -> None:
        if body["rev"] <= copy.rev:
            return  # Fetched with the whole repository.
        blocks = verify_commit(body, await self._key(body["repo"]))
        if (body["since"] or "", body.get("prevData")) != (copy.rev, copy.data):
            copy.has_gap = True
            return
        for op in operations(body):
            assert copy.records.get(op.path) == op.prev
            if op.cid is None:
                del copy.records[op.path]
            else:
                copy.records[op.path] = op.cid
        copy.rev, copy.data = body["rev"], decode_commit(blocks[body["commit"]]).data

    async def _take_sync(self, copy: Copy, body: dict[str, Any]) -> None:
        did = body["did"]
        (head,), blocks = read_car(body["blocks"])
        commit = decode_commit(blocks[head])
        assert (commit.did, commit.rev) == (did, body["rev"])
        assert commit.verify(await self._key(did))
        if commit.rev < copy.rev or (commit.rev, commit.data) == (copy.rev, copy.data):
            return
        export = await export_of(self.server, self.http, did, await self._key(did))
        if export is not None:
            self.fetches += 1
            copy.records, copy.has_gap = dict(export.records), False
            copy.rev, copy.data = export.commit.rev, export.commit.data

    async def _key(self, did: str) -> PublicKey:
        if did not in self.keys:
            data = await plc_data(self.server, self.http, did)
            self.keys[did] = parse_did_key(data["verificationMethods"]["atproto"])
        return self.keys[did]

    async def until_listed(self) -> None:
        """Wait until listRepos has every head: workers write those of their own a little later."""
        async with asyncio.timeout(_CATCH_UP_S):
            while any(  # noqa: ASYNC110 (another process's)
                repo["active"] and repo["rev"] != self.copies[did].rev
                for did, repo in (await all_repos(self.server, self.http)).items()
            ):
                await asyncio.sleep(0.05)

    async def check(self) -> int:
        """Compare every copy with the server. Returns how many accounts the server has."""
        repos = await all_repos(self.server, self.http)
        for did, repo in repos.items():
            copy = self.copies[did]
            assert (copy.active, copy.status) == (repo["active"], repo.get("status")), did
            if not repo["active"]:
                continue
            export = await export_of(self.server, self.http, did, await self._key(did))
            assert export is not None
            assert (repo["head"], repo["rev"]) == (str(export.head), export.commit.rev)
            assert not copy.has_gap, f"nothing tells that commits of {did} are missing"
            assert (copy.rev, copy.data) == (export.commit.rev, export.commit.data)
            assert copy.records == export.records
            aliases = (await plc_data(self.server, self.http, did))["alsoKnownAs"]
            assert aliases == ([] if copy.handle is None else [f"at://{copy.handle}"])
        told = {did for did, copy in self.copies.items() if copy.status != "deleted"}
        assert told <= repos.keys()
        return len(repos)


def newest_seq(data: Path) -> int:
    """The newest event in the log of a data directory."""
    db = open_database(data / "sequencer.sqlite", create=False, read_only=True)
    try:
        return int(db.value("SELECT max(seq) FROM repo_seq") or 0)
    finally:
        db.close()


async def export_of(
    server: Followed, http: aiohttp.ClientSession, did: str, key: PublicKey
) -> Export | None:
    """A repository, checked block by block; None if it is not served."""
    url = f"{server.url}/xrpc/com.atproto.sync.getRepo"
    async with http.get(url, params={"did": did}) as response:
        car = await response.read()
        return verify_export(car, did, key) if response.status == 200 else None


async def all_repos(server: Followed, http: aiohttp.ClientSession) -> dict[str, Any]:
    """What listRepos says, by DID."""
    found: dict[str, Any] = {}
    params = {"limit": "1000"}
    while True:
        url = f"{server.url}/xrpc/com.atproto.sync.listRepos"
        async with http.get(url, params=params) as response:
            page = await response.json()
        found |= {repo["did"]: repo for repo in page["repos"]}
        if "cursor" not in page:
            return found
        params["cursor"] = page["cursor"]


async def plc_data(server: Followed, http: aiohttp.ClientSession, did: str) -> Any:
    """The state of a DID in the server's PLC directory, or in that of a hold's document."""
    if did.startswith("did:web:"):
        return await _hold_data(server, http, did)
    async with http.get(f"{server.plc_url}/{did}/data") as response:
        assert response.status == 200, await response.text()
        return await response.json()


async def _hold_data(server: Followed, http: aiohttp.ClientSession, did: str) -> Any:
    async with http.get(f"{server.url}/.well-known/did.json") as response:
        document = await response.json()
    assert document["id"] == did
    (method,) = document["verificationMethod"]
    return {
        "verificationMethods": {"atproto": f"did:key:{method['publicKeyMultibase']}"},
        "alsoKnownAs": document["alsoKnownAs"],
    }
