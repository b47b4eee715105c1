"""Clients of a server that may end at any moment, and what it has promised them.

Each client has record keys of its own, so it knows what every one of them must hold. When the
server ends before it has answered, both the old and the new are right, but only all of a batch
or nothing of it.
"""

from __future__ import annotations

import asyncio
import itertools
import random
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from repo.cid import Cid
from repo.dagcbor import encode
from tests.e2e.forked import ForkedServer

NOTE: Final = "com.example.note"
BROKEN: Final = (aiohttp.ClientError, ConnectionError)
"""How a client learns that the server has ended."""

State = dict[tuple[str, str], Cid | None]
"""CIDs by DID and `collection/rkey`; None for no record."""


class NotAnswered(Exception):
    """The server ended before it had answered."""


@dataclass(slots=True)
class Person:
    """An account and its session."""

    did: str
    handle: str
    auth: dict[str, str]


@dataclass(slots=True)
class Client:
    """One source of requests, one after the other."""

    server: ForkedServer
    http: aiohttp.ClientSession
    name: str
    random: random.Random
    promised: State = field(default_factory=dict)
    in_doubt: State = field(default_factory=dict)
    """What the last request would have made, should it not have been answered."""
    blobs: dict[tuple[str, str], tuple[Cid, bytes]] = field(default_factory=dict)
    """The bytes that a record refers to, beside the CID of the record."""
    answers: int = 0
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    async def write_until_it_ends(
        self, people: list[Person], enough: asyncio.Event | None = None
    ) -> None:
        """Write to random accounts until the server ends, or it is enough."""
        kinds = (self._create, self._create, self._replace, self._delete, self._batch, self._blob)
        try:
            while enough is None or not enough.is_set():
                person = self.random.choice(people)
                await self.random.choice(kinds)(person)
                self.answers += 1
        except NotAnswered:
            return

    def check(self, person: Person, records: dict[str, Cid]) -> None:
        """Compare what is promised for an account with its records, and settle what is open."""
        did = person.did
        mine = {
            (did, path): cid
            for path, cid in records.items()
            if path.rpartition("/")[2].startswith(self.name)
        }
        expected = self._records_of(did, self.promised)
        if mine != expected:
            assert mine == self._records_of(did, self.promised | self.in_doubt), self.name
            self.promised |= {key: cid for key, cid in self.in_doubt.items() if key[0] == did}
        self.in_doubt = {key: cid for key, cid in self.in_doubt.items() if key[0] != did}

    async def check_blobs(self) -> None:
        """The bytes of every blob that a record refers to are there."""
        for (did, path), (record, data) in self.blobs.items():
            if self.promised.get((did, path)) != record:
                continue
            url = f"{self.server.url}/xrpc/com.atproto.sync.getBlob"
            params = {"did": did, "cid": str(Cid.of_raw(data))}
            async with self.http.get(url, params=params) as response:
                found = await response.read()
                assert (response.status, found) == (200, data), (
                    params,
                    response.status,
                    len(found),
                )

    @staticmethod
    def _records_of(did: str, state: State) -> State:
        return {key: cid for key, cid in state.items() if key[0] == did and cid is not None}

    async def _create(self, person: Person) -> None:
        rkey, record = self._new_rkey(), self._new_record()
        body = {"collection": NOTE, "rkey": rkey, "record": record}
        await self._write(
            "createRecord", person, body, {(person.did, f"{NOTE}/{rkey}"): cid_of(record)}
        )

    async def _replace(self, person: Person) -> None:
        path, record = self._own_path(person), self._new_record()
        rkey = path.rpartition("/")[2]
        body = {"collection": NOTE, "rkey": rkey, "record": record}
        await self._write("putRecord", person, body, {(person.did, path): cid_of(record)})

    async def _delete(self, person: Person) -> None:
        path = self._own_path(person)
        body = {"collection": NOTE, "rkey": path.rpartition("/")[2]}
        await self._write("deleteRecord", person, body, {(person.did, path): None})

    async def _batch(self, person: Person) -> None:
        outcome: State = {}
        writes: list[dict[str, Any]] = []
        for _ in range(self.random.randint(2, 5)):
            rkey, record = self._new_rkey(), self._new_record()
            outcome[person.did, f"{NOTE}/{rkey}"] = cid_of(record)
            writes.append({"$type": _CREATE, "collection": NOTE, "rkey": rkey, "value": record})
        path = self._own_path(person)
        if self.promised.get((person.did, path)) is not None:
            outcome[person.did, path] = None
            rkey = path.rpartition("/")[2]
            writes.append({"$type": _DELETE, "collection": NOTE, "rkey": rkey})
        await self._write("applyWrites", person, {"writes": writes}, outcome)

    async def _blob(self, person: Person) -> None:
        data = b"\x89PNG\r\n\x1a\n" + self.random.randbytes(300)
        headers = {**person.auth, "Content-Type": "image/png"}
        uploaded = await self._post("uploadBlob", headers, data=data)
        rkey, record = self._new_rkey(), {**self._new_record(), "image": uploaded["blob"]}
        stored = cid_of({**record, "image": {**uploaded["blob"], "ref": Cid.of_raw(data)}})
        key = (person.did, f"{NOTE}/{rkey}")
        body = {"collection": NOTE, "rkey": rkey, "record": record}
        await self._write("createRecord", person, body, {key: stored})
        self.blobs[key] = (stored, data)

    async def _write(
        self, method: str, person: Person, body: dict[str, Any], outcome: State
    ) -> None:
        self.in_doubt = outcome
        if method != "deleteRecord":
            body["validate"] = False
        await self._post(method, person.auth, json={"repo": person.did, **body})
        self.promised |= outcome
        self.in_doubt = {}

    async def _post(self, method: str, headers: dict[str, str], **body: Any) -> dict[str, Any]:
        url = f"{self.server.url}/xrpc/com.atproto.repo.{method}"
        try:
            async with self.http.post(url, headers=headers, **body) as response:
                answer: dict[str, Any] = await response.json()
        except BROKEN as exc:
            raise NotAnswered from exc
        _require_success(self.server, response.status, answer)
        return answer

    def _own_path(self, person: Person) -> str:
        """A key of this client, mostly one that has a record."""
        paths = [path for did, path in self.promised if did == person.did]
        return self.random.choice(paths) if paths else f"{NOTE}/{self._new_rkey()}"

    def _new_rkey(self) -> str:
        return f"{self.name}-{next(self._numbers)}"

    def _new_record(self) -> dict[str, Any]:
        return {"$type": NOTE, "text": f"{self.name} {self.random.random()}"}


_CREATE: Final = "com.atproto.repo.applyWrites#create"
_DELETE: Final = "com.atproto.repo.applyWrites#delete"


def cid_of(record: dict[str, Any]) -> Cid:
    """The CID that a record must get."""
    return Cid.of_dag_cbor(encode(record))


def _require_success(server: ForkedServer, status: int, answer: Any) -> None:
    """Raise `NotAnswered` if the process that had to do the work has ended, but not this one."""
    if server.workers > 1 and "A process of the server" in answer.get("message", ""):
        raise NotAnswered
    assert status == 200, answer


async def sign_up(server: ForkedServer, http: aiohttp.ClientSession, name: str) -> Person:
    """Create an account. Raises `NotAnswered`."""
    body = {"handle": f"{name}.test", "email": f"{name}@example.com", "password": "a password"}
    url = f"{server.url}/xrpc/com.atproto.server.createAccount"
    try:
        async with http.post(url, json=body) as response:
            made = await response.json()
    except BROKEN as exc:
        raise NotAnswered from exc
    _require_success(server, response.status, made)
    return Person(made["did"], made["handle"], {"Authorization": f"Bearer {made['accessJwt']}"})


async def sign_up_many(
    server: ForkedServer, http: aiohttp.ClientSession, count: int
) -> list[Person]:
    """Create accounts."""
    return list(await asyncio.gather(*(sign_up(server, http, f"person{n}") for n in range(count))))
