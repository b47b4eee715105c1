"""A small network for tests that end a server: two accounts, and a consumer that follows."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from database.opening import open_database
from tests.e2e.forked import ForkedServer, Zygote
from tests.e2e.promises import BROKEN, NOTE, Person, sign_up
from tests.e2e.watcher import Watcher
from tests.pds.conftest import basic_auth
from tests.processes import free_port

ENVIRON = {"PDS_ADMIN_PASSWORD": "admin-pass", "LOG_LEVEL": "info"}
REACHED_S = 10.0
_SETTLED_S = 10.0


@dataclass(slots=True)
class World:
    """A server, its people, and a consumer that has followed all the time."""

    server: ForkedServer
    http: aiohttp.ClientSession
    alice: Person
    bob: Person
    watcher: Watcher

    def start(self, *, fault: str | None = None, **env: str) -> None:
        """Start the server, which ends at the point `fault`."""
        self.server.start(fault=fault, **ENVIRON, **env)

    async def get(self, nsid: str, **params: str) -> tuple[int, Any]:
        """Call a query: the status and the JSON of the answer."""
        url = f"{self.server.url}/xrpc/{nsid}"
        async with self.http.get(url, params=params) as response:
            is_json = response.content_type == "application/json"
            return response.status, await response.json() if is_json else await response.read()

    async def call(
        self, nsid: str, auth: dict[str, str] | None = None, **body: Any
    ) -> tuple[int, Any]:
        """Call a procedure: the status and the JSON of the answer."""
        url = f"{self.server.url}/xrpc/{nsid}"
        async with self.http.post(url, headers=auth, json=body or None) as response:
            is_json = response.content_type == "application/json"
            return response.status, await response.json() if is_json else None

    async def post(self, nsid: str, auth: dict[str, str] | None = None, **body: Any) -> Any:
        """Call a procedure that must succeed; None if the server ended before it answered."""
        try:
            status, answer = await self.call(nsid, auth, **body)
        except BROKEN:
            return None
        assert status == 200, answer
        return answer

    async def create(self, person: Person, rkey: str, **fields: Any) -> Any:
        """Create a note."""
        return await self.post(
            "com.atproto.repo.createRecord", person.auth, **note(person, rkey, **fields)
        )

    async def try_to_create(self, person: Person, rkey: str) -> tuple[int, Any]:
        """As `create`, for a server that may refuse it."""
        nsid = "com.atproto.repo.createRecord"
        return await self.call(nsid, person.auth, **note(person, rkey))

    async def moderate(self, person: Person, *, takedown: bool) -> None:
        """Take an account down, or reverse that."""
        await self.post(
            "com.atproto.admin.updateSubjectStatus",
            basic_auth("admin", ENVIRON["PDS_ADMIN_PASSWORD"]),
            subject={"$type": "com.atproto.admin.defs#repoRef", "did": person.did},
            takedown={"applied": takedown},
        )

    async def token(self, nsid: str, person: Person) -> str:
        """Ask for a token and read it in the mail that comes."""
        await self.post(nsid, person.auth)
        return await self.newest_token(person)

    async def newest_token(self, person: Person) -> str:
        """The token in the newest mail, which is to `person`."""
        async with self.http.get(f"{self.server.url}/dev/mails.json") as response:
            mail = (await response.json())["mails"][0]
        assert mail["to"] == person.handle.replace(".test", "@example.com")
        (token,) = re.findall(r"^ +([A-Z2-7]{5}-[A-Z2-7]{5})$", mail["text"], re.MULTILINE)
        return str(token)

    async def delete(self, person: Person) -> None:
        """Delete an account as its owner."""
        token = await self.token("com.atproto.server.requestAccountDelete", person)
        await self.post(
            "com.atproto.server.deleteAccount", did=person.did, password="a password", token=token
        )

    async def records(self, person: Person) -> set[str]:
        """The record keys of an account, as the consumer has them."""
        return {path.rpartition("/")[2] for path in self.watcher.copies[person.did].records}

    async def crash(self, point: str, change: Callable[[World], Awaitable[object]]) -> None:
        """Make a change with a server that ends at `point`, and start it again."""
        await self.end_at(point, change)
        self.start()

    async def end_at(self, point: str, change: Callable[[World], Awaitable[object]]) -> None:
        """Make a change with a server that ends at `point`."""
        self.start(fault=point)
        await self.watcher.catch_up()
        await change(self)
        assert self.server.wait_ended(REACHED_S), f"{point} was not reached"

    async def check(self, *, accounts: int) -> None:
        """Everything agrees, for every consumer."""
        async with asyncio.timeout(_SETTLED_S):
            while journal(self.server.data):  # noqa: ASYNC110 (another process's)
                await asyncio.sleep(0.005)
        await self.watcher.catch_up()
        from_start = Watcher(self.server, self.http)
        await from_start.catch_up()
        for watcher in (self.watcher, from_start):
            assert await watcher.check() == accounts
        assert {path.name for path in self.server.data.glob("actors/??/did:*")} == {
            did for did, copy in self.watcher.copies.items() if copy.status != "deleted"
        }

    def store_of(self, person: Person) -> Path:
        """The database of an actor."""
        (directory,) = self.server.data.glob(f"actors/??/{person.did}")
        return directory / "store.sqlite"


@dataclass(slots=True)
class Stopped:
    """The data of a server that was stopped in order, to be copied."""

    server: ForkedServer
    alice: Person
    bob: Person

    @asynccontextmanager
    async def copy(self, data: Path) -> AsyncIterator[World]:
        """A world of its own in `data`, on the same ports. Its server is stopped at the end.

        `data` may be a directory that is there, and is empty.
        """
        shutil.copytree(self.server.data, data, dirs_exist_ok=True)
        server = ForkedServer(self.server.zygote, data, self.server.port, self.server.plc_port)
        # A connection that is kept would lead to a server that has ended since.
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(connector=connector) as http:
            yield World(server, http, self.alice, self.bob, Watcher(server, http))
        server.stop()
        assert "Traceback" not in server.log()


def make_stopped(zygote: Zygote, data: Path) -> Stopped:
    """Start a server in `data`, give it two accounts with a record each, and stop it."""
    server = ForkedServer(zygote, data, free_port(), free_port())
    server.start(**ENVIRON)
    alice, bob = asyncio.run(_fill(server))
    server.stop()
    return Stopped(server, alice, bob)


async def _fill(server: ForkedServer) -> tuple[Person, Person]:
    async with aiohttp.ClientSession() as http:
        alice, bob = await sign_up(server, http, "alice"), await sign_up(server, http, "bob")
        world = World(server, http, alice, bob, Watcher(server, http))
        for person in (alice, bob):
            await world.create(person, "first")
        return alice, bob


def note(person: Person, rkey: str, **fields: Any) -> dict[str, Any]:
    """The body of createRecord."""
    return {
        "repo": person.did,
        "collection": NOTE,
        "rkey": rkey,
        "record": {"$type": NOTE, **fields},
        "validate": False,
    }


def journal(data: Path) -> list[tuple[str, str]]:
    """What the server has to settle yet."""
    with closing(open_database(data / "account.sqlite", create=False, read_only=True)) as db:
        return [(kind, did) for kind, did in db.all("SELECT kind, did FROM holdfast_journal")]
